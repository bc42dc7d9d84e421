//! The time that a client has for a body.

use super::*;

fn limits() -> BodyLimits {
    BodyLimits { each: 1, pause: Duration::from_secs(30), all: BodyBudget::shared(1) }
}

#[test]
fn a_client_that_goes_on_sending_gets_time() {
    let limits = limits();
    let long_ago = Instant::now().checked_sub(Duration::from_secs(600)).unwrap();
    let (deadline, _) = limits.deadline(long_ago, 1 << 20);
    assert!(deadline > Instant::now() + Duration::from_secs(29));
    let (deadline, late) = limits.deadline(long_ago, 1 << 10);
    assert!(deadline < Instant::now());
    assert!(late.contains("slower"), "{late}");
}

#[test]
fn a_client_has_the_time_of_two_pauses_and_a_second_for_every_kilobyte() {
    let limits = limits();
    let pause = limits.pause;
    let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    for (began, received, left, is_slow) in [
        (0, 0, 30, false),
        (29, 0, 30, false),
        (31, 0, 29, true),
        (59, 0, 1, true),
        (31, 1023, 29, true),
        (31, 1024, 30, true),
        (31, 2048, 30, false),
        (100, 64 << 10, 24, true),
    ] {
        let (deadline, late) = limits.deadline(ago(began), received);
        let given = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        let case = format!("{began} s, {received} bytes: {given}, {late}");
        assert!((given - f64::from(left)).abs() < 0.9, "{case}");
        assert_eq!(late.contains("slower than 1024 bytes a second"), is_slow, "{case}");
        assert!(deadline <= Instant::now() + pause, "{case}");
    }
}
