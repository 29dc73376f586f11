//! Sessions and their keys.

use super::*;

#[test]
fn after_a_pause_of_the_host_no_session_moves_back_and_forth() {
    let mut bench = bench(&["a"]);
    for model in ["x", "y", "x", "y", "x", "y"] {
        bench.fail(model, Outcome::Unreachable);
    }
    let end = bench.health.host.cooldown().unwrap().until;
    bench.now = end;
    let answered = bench.take();
    bench.report(&answered, Outcome::Answered);
    let mut before = HashSet::new();
    for second in [0, 10, 20, 30] {
        bench.now = end + second * 1000;
        let served: HashSet<u64> = (0..1000)
            .filter(|&session| {
                let taken = bench.take_with(MODEL, |request| {
                    (request.alternatives, request.session) =
                        (Alternatives::Left, Some(AffinityHash(session)));
                });
                taken.is_ok()
            })
            .collect();
        let expected = 100 + 30 * usize::try_from(second).unwrap();
        assert!(served.len().abs_diff(expected) < 60, "{second} s: {}", served.len());
        assert!(before.is_subset(&served));
        before = served;
    }
}

#[test]
fn a_session_waits_five_seconds_for_its_key_and_no_longer() {
    for (wait, waits) in [(5, true), (6, false)] {
        let mut bench = bench(&["a", "b"]);
        let session = Some(AffinityHash(3));
        let taken = bench.take_with(MODEL, |request| request.session = session).unwrap();
        bench.report(&taken, limited(wait));
        let next = bench.take_with(MODEL, |request| request.session = session);
        match next {
            Err(KeyChoice::WaitUntil(until)) => assert!(waits && until == bench.now + wait * 1000),
            Ok(moved) => assert!(!waits && moved.key != taken.key),
            Err(other) => panic!("{other:?}"),
        }
        bench.advance(wait);
        let back = bench.take_with(MODEL, |request| request.session = session).unwrap();
        assert_eq!(back.key, taken.key);
    }
}

#[test]
fn a_session_does_not_wait_for_a_key_without_credit() {
    let mut bench = bench(&["a", "b"]);
    let session = Some(AffinityHash(7));
    let of_session = |request: &mut KeyRequest<'_>| request.session = session;
    let limited_call = bench.take_with(MODEL, of_session).unwrap();
    let other_call = bench.take_with("other", of_session).unwrap();
    assert_eq!(limited_call.key, other_call.key);
    bench.report(&limited_call, limited(4));
    bench.report(&other_call, Outcome::OutOfCredit);
    let moved = bench.take_with(MODEL, of_session).expect("the other key");
    assert_ne!(moved.key, limited_call.key);
}
