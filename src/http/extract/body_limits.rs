//! How large bodies may be, and how slowly they may come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body_budget::{BodyBudget, Reservation};
use crate::http::error::{ApiError, ErrorCode};

/// Lowest average rate, in bytes a second, of a client that has had the time of two pauses.
const SLOWEST: usize = 1 << 10;

#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Largest body in bytes. Label Studio sends all selected tasks in one POST.
    pub each: usize,
    /// Longest pause of a client that sends.
    pub pause: Duration,
    /// Room for all bodies together.
    pub all: Arc<BodyBudget>,
}

impl BodyLimits {
    pub(super) fn too_large(&self) -> ApiError {
        let detail =
            format!("the body is larger than the limit of {} bytes (--max-body)", self.each);
        ApiError::new(ErrorCode::BodyTooLarge, detail)
    }

    /// Makes room for `more` bytes of a body.
    pub(super) fn make_room(
        &self,
        reservation: &mut Reservation,
        more: usize,
    ) -> Result<(), ApiError> {
        if reservation.grow(more) {
            return Ok(());
        }
        let detail = format!(
            "the bodies of all requests together are larger than the limit of {} bytes (--max-bodies): try \
             again",
            self.all.limit()
        );
        Err(ApiError::new(ErrorCode::NoRoomForBody, detail))
    }

    /// When the next bytes must be there, and what is wrong if they are not. `received`: bytes so far.
    pub(super) fn deadline(&self, began: Instant, received: usize) -> (Instant, String) {
        let pause = self.pause.as_secs_f64();
        let halt = Instant::now() + self.pause;
        let earned = Duration::from_secs(u64::try_from(received / SLOWEST).unwrap_or(u64::MAX));
        let slow = began + self.pause * 2 + earned;
        if halt <= slow {
            (halt, format!("nothing of the body came for {pause} s (--body-timeout)"))
        } else {
            let rate =
                format!("the body comes slower than {SLOWEST} bytes a second (--body-timeout)");
            (slow, rate)
        }
    }
}

#[cfg(test)]
mod tests;
