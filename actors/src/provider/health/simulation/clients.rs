//! Simulates clients that retry as Claude Code does.

use std::rc::Rc;

use super::gateway::{Ended, Exchange, SimulatedFailure, SimulatedShouldRetry};
use super::{MINUTE, MODELS, SECOND, World};
use crate::clock::Millis;
use crate::outcome::Outcome;
use crate::provider::health::{AffinityHash, Size};

const RETRIES: u32 = 10;
/// Claude Code ends a turn after this many overload errors.
const OVERLOADED_TRIES: u32 = 3;

/// One request, repeated with the same body until it succeeds or the client gives up.
#[derive(Clone, Debug)]
pub(super) struct ClientRequest {
    pub(super) model: usize,
    pub(super) session: Option<AffinityHash>,
    pub(super) size: Size,
    /// When the client disconnects.
    pub(super) disconnects_at: Millis,
    /// An error of the request itself, on every target.
    pub(super) own_fault: Option<Outcome>,
}

pub(super) fn start(world: &Rc<World>) {
    for number in 0..24 {
        world.time.spawn(session(world.clone(), number));
    }
    for _ in 0..4 {
        world.time.spawn(program(world.clone()));
    }
    world.time.spawn(batches(world.clone()));
}

/// A user of Claude Code: mostly one model, sometimes another for background calls.
async fn session(world: Rc<World>, number: u64) {
    let session = AffinityHash(number.wrapping_add(1).wrapping_mul(0x2545_f491_4f6c_dd1d));
    let main = usize::try_from(number).unwrap_or_default() % MODELS;
    let mut body = 20_000;
    loop {
        world.pause(SECOND, 19 * SECOND).await;
        let model = if world.chance(0.25) { world.pick(MODELS) } else { main };
        body = if world.chance(0.02) { 20_000 } else { body + world.pick(6_000) };
        let body = if model == main { body } else { 1_500 + world.pick(3_000) };
        request(&world, model, Some(session), body).await;
    }
}

/// A program without a session.
async fn program(world: Rc<World>) {
    loop {
        world.pause(3 * SECOND, 30 * SECOND).await;
        let (model, body) = (world.pick(MODELS), 1_000 + world.pick(50_000));
        request(&world, model, None, body).await;
    }
}

/// Many requests at once.
async fn batches(world: Rc<World>) {
    loop {
        world.pause(3 * MINUTE, 12 * MINUTE).await;
        let model = world.pick(MODELS);
        for _ in 0..40 {
            let one = world.clone();
            world.time.spawn(async move {
                one.pause(0, 2 * SECOND).await;
                request(&one, model, None, 5_000 + one.pick(5_000)).await;
            });
        }
    }
}

async fn request(world: &Rc<World>, model: usize, session: Option<AffinityHash>, body: usize) {
    let max_tokens = [1_024, 8_192, 32_000][world.pick(3)];
    let own_fault = match world.pick(1000) {
        0..4 => Some(Outcome::RequestRefused),
        4..6 => Some(Outcome::RequestTooLarge),
        6..8 => Some(Outcome::NotServedHere),
        _ => None,
    };
    let now = world.time.now();
    let disconnects_at =
        if world.chance(0.02) { now + 100 + world.pick(20_000) as Millis } else { Millis::MAX };
    let size = Size { body, max_tokens };
    let request = ClientRequest { model, session, size, disconnects_at, own_fault };
    let mut overloaded = 0;
    for attempt in 0..=RETRIES {
        let failure = match Exchange::new(world, &request).answer().await {
            Ok(()) | Err(Ended::Gone) => return,
            // An error inside a stream.
            Err(Ended::Cut) => SimulatedFailure { status: 500, retry_after: None, should_retry: None },
            Err(Ended::Failed(failure)) => failure,
        };
        overloaded += u32::from(failure.status == 529);
        let may_retry = match (failure.should_retry, failure.status) {
            (Some(SimulatedShouldRetry::No), _) => false,
            (Some(SimulatedShouldRetry::Yes), _) => true,
            (None, 529) => overloaded < OVERLOADED_TRIES,
            (None, status) => matches!(status, 401 | 403 | 408 | 409 | 429 | 500..),
        };
        if !may_retry {
            return world.audit.borrow_mut().count("turns that the client ended");
        }
        let backoff = (500_u64 << attempt.min(6)).min(32_000);
        let wait = failure.retry_after.map_or(backoff, |seconds| seconds * SECOND);
        world.pause(wait, wait + wait / 4).await;
    }
    world.audit.borrow_mut().count("turns given up after 10 retries");
}
