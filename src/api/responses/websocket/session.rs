//! One connection: reads the client's frames, and serves one response at a time.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_http::ws::{CloseCode, CloseReason};
use actix_web::HttpRequest;
use actix_web::rt::time::{sleep, timeout};
use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::future::{Either, select};
use vandamme_actors::settings::Limits;
use vandamme_protocol::responses_websocket::{
    ClientEvent, Conversation, CreateFrame, FrameError, Generation, Turn, WarmUp,
};
use vandamme_protocol::vocabulary::ErrorKind;

use super::inbox::{Broken, Inbox, Incoming};
use super::outbox::Outbox;
use super::reply::reply;
use crate::gateway::{Admission, Gateway, KeptItems};

/// How many frames wait while a response is in progress.
const MOST_WAITING: usize = 8;
/// How long the client may take to confirm the end of the connection.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Session {
    gateway: Arc<Gateway>,
    /// The request that has opened the connection. Each response has its headers.
    request: HttpRequest,
    inbox: Inbox,
    outbox: Outbox,
    conversation: Conversation,
    /// What the conversation takes of the memory for all of them.
    kept: KeptItems,
    waiting: WaitingFrames,
    _place: Admission,
}

/// Why a connection ends.
#[derive(Debug)]
enum SocketEnd {
    /// The client has closed it.
    Client(Option<CloseReason>),
    Broken(Broken),
    NotUtf8,
    /// The client does not read the errors that it gets.
    Unread,
    /// No response for `limits.websocket-idle`.
    Idle,
    /// Another process accepts connections, or the gateway stops.
    Leaving,
}

/// Frames that arrive while a response is in progress.
#[derive(Default)]
struct WaitingFrames {
    frames: VecDeque<Bytes>,
    size: usize,
}

impl Session {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        request: HttpRequest,
        payload: Payload,
        place: Admission,
    ) -> Self {
        let limit = gateway.live_config().settings.limits.request_body;
        let kept = gateway.websockets.keep();
        Self {
            gateway,
            request,
            inbox: Inbox::new(payload, limit),
            outbox: Outbox::default(),
            conversation: Conversation::new(limit),
            kept,
            waiting: WaitingFrames::default(),
            _place: place,
        }
    }

    pub(super) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        let end = loop {
            let frame = match self.waiting.pop() {
                Some(frame) => Ok(frame),
                None => self.next_frame().await,
            };
            let answered = match frame {
                Ok(frame) => self.answer(&frame).await,
                Err(end) => Err(end),
            };
            if let Err(end) = answered {
                break end;
            }
        };
        log::debug!("a WebSocket connection ends: {end:?}");
        let Some(reason) = end.reason() else { return };
        self.outbox.close(reason);
        if !matches!(end, SocketEnd::Client(_)) {
            // Bytes that are not read would reset the connection, and the client would not get the reason.
            let _ = timeout(FAREWELL, self.inbox.discard()).await;
        }
    }

    /// The next frame of a client while no response is in progress.
    async fn next_frame(&mut self) -> Result<Bytes, SocketEnd> {
        let live = self.gateway.live_config();
        let limits = &live.settings.limits;
        let frame = pin!(next_text(&mut self.inbox, &self.outbox, limits));
        let leaving = pin!(self.gateway.stops_accepting());
        let idle = pin!(idle(limits));
        let heartbeat = pin!(self.outbox.heartbeat(limits.ping_interval));
        match select(frame, select(leaving, select(idle, heartbeat))).await {
            Either::Left((frame, _)) => frame,
            Either::Right((Either::Left(_), _)) => Err(SocketEnd::Leaving),
            Either::Right((Either::Right(_), _)) => Err(SocketEnd::Idle),
        }
    }

    async fn answer(&mut self, frame: &[u8]) -> Result<(), SocketEnd> {
        if !self.gateway.accepts_connections() {
            let message = "the gateway is restarting: connect again and send all items";
            self.outbox.text(&busy(503, message).frame());
            return Err(SocketEnd::Leaving);
        }
        let text = std::str::from_utf8(frame).map_err(|_| SocketEnd::NotUtf8)?;
        let turn = match ClientEvent::read(text) {
            Ok(ClientEvent::Create(create)) => self.conversation.turn(&create).map(|turn| (create, turn)),
            Ok(ClientEvent::Steer(steer)) => {
                self.outbox.text(&steer.failed());
                return Ok(());
            }
            Ok(ClientEvent::Processed) => return Ok(()),
            Err(error) => Err(error),
        };
        match turn {
            Ok((create, turn)) if create.generation == Generation::WarmUp => {
                self.warm_up(&create, turn);
                Ok(())
            }
            Ok((_, turn)) => self.respond(turn).await,
            Err(error) => {
                self.outbox.text(&error.frame());
                Ok(())
            }
        }
    }

    fn warm_up(&mut self, create: &CreateFrame<'_>, turn: Turn) {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let warm_up = WarmUp::new(create, fastrand::u128(..), created);
        for frame in &warm_up.frames {
            self.outbox.text(frame);
        }
        self.keep(turn, &warm_up.id, String::new());
    }

    /// Serves a response to its end, unless the client closes the connection before.
    async fn respond(&mut self, mut turn: Turn) -> Result<(), SocketEnd> {
        let Self { gateway, request, inbox, outbox, waiting, .. } = self;
        let live = gateway.live_config();
        let limits = &live.settings.limits;
        let body = Bytes::from(std::mem::take(&mut turn.body));
        let response = {
            let reply = pin!(reply(gateway.clone(), request.clone(), body, outbox));
            let reading = pin!(waiting.fill(inbox, outbox, limits));
            let heartbeat = pin!(outbox.heartbeat(limits.ping_interval));
            match select(reply, select(reading, heartbeat)).await {
                Either::Left((response, _)) => response,
                Either::Right((Either::Left((end, _)), _)) => return Err(end),
                Either::Right((Either::Right(((), _)), _)) => None,
            }
        };
        if let Some((id, output)) = response {
            self.keep(turn, &id, output);
        }
        Ok(())
    }

    /// Keeps the items of a response, if there is memory for them. Otherwise the client sends all of them again.
    fn keep(&mut self, turn: Turn, id: &str, output: String) {
        self.conversation.keep(turn, id, output);
        let most = self.gateway.live_config().settings.limits.websocket_items;
        if !self.kept.resize(self.conversation.size(), most) {
            self.conversation.clear();
        }
    }
}

impl SocketEnd {
    /// What the client gets as the last frame; `None` if it has disconnected.
    fn reason(&self) -> Option<Option<CloseReason>> {
        let (code, text) = match self {
            Self::Client(reason) => return Some(reason.clone().map(|reason| reason.code.into())),
            Self::Broken(Broken::Gone) => return None,
            Self::Broken(Broken::TooLarge) => {
                (CloseCode::Size, "the message is too large (limits.request-body)")
            }
            Self::Broken(Broken::Binary) => (CloseCode::Unsupported, "messages must be text"),
            Self::Broken(Broken::Protocol) => (CloseCode::Protocol, "a frame violates the protocol"),
            Self::NotUtf8 => (CloseCode::Invalid, "the message is not valid UTF-8"),
            Self::Unread => (CloseCode::Policy, "too many frames"),
            Self::Idle => (CloseCode::Normal, "no request in time (limits.websocket-idle)"),
            Self::Leaving => (CloseCode::Away, "the gateway is restarting: connect again"),
        };
        Some(Some(CloseReason::from((code, text))))
    }
}

impl WaitingFrames {
    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.size -= frame.len();
        Some(frame)
    }

    /// Reads frames until the connection ends. A frame that does not fit is refused.
    async fn fill(&mut self, inbox: &mut Inbox, outbox: &Outbox, limits: &Limits) -> SocketEnd {
        loop {
            let frame = match next_text(inbox, outbox, limits).await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let size = self.size + frame.len();
            if self.frames.len() < MOST_WAITING && size <= limits.request_body {
                self.size = size;
                self.frames.push_back(frame);
                continue;
            }
            if outbox.is_full(limits.client_channel) {
                return SocketEnd::Unread;
            }
            outbox.text(&busy(429, "a response is in progress on this connection: wait for its end").frame());
        }
    }
}

/// The next text of the client. Control frames before it are answered.
async fn next_text(inbox: &mut Inbox, outbox: &Outbox, limits: &Limits) -> Result<Bytes, SocketEnd> {
    loop {
        match inbox.next().await.map_err(SocketEnd::Broken)? {
            Incoming::Text(text) => return Ok(text),
            Incoming::Ping(data) => outbox.pong(&data, limits.client_channel),
            Incoming::Pong => {}
            Incoming::Close(reason) => return Err(SocketEnd::Client(reason)),
        }
    }
}

async fn idle(limits: &Limits) {
    match limits.websocket_idle {
        Some(longest) => sleep(longest).await,
        None => std::future::pending().await,
    }
}

fn busy(status: u16, message: &str) -> FrameError {
    FrameError {
        status,
        code: ErrorKind::from_status(status).openai().1,
        param: None,
        message: message.to_owned(),
    }
}
