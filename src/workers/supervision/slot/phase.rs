//! The phases of a worker slot, and the events that lead from one to the next. Nothing here waits or touches
//! a process.

/// The phase of a slot. `W` is a worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SlotPhase<W> {
    /// The worker is gone; another one starts when the back-off says so.
    BackingOff,
    /// A process starts and imports the script.
    Starting,
    /// The worker loads models and gets no calls yet.
    Preparing(W),
    Serving(W),
    /// The worker serves until its successor has loaded models.
    Replacing(W),
    /// As `Replacing`, but the worker gets no calls any more.
    Retiring(W),
    /// The worker gets no calls any more and ends after those that it runs; another one starts then.
    Draining(W),
    /// As `Draining`, but the slot is empty then.
    Vacating(W),
    /// The slot is empty until an order comes.
    Vacated,
    Stopped,
}

/// An event of a slot.
#[derive(Debug)]
pub(super) enum SlotEvent<W> {
    BackedOff,
    Started(W),
    NotStarted,
    /// The worker has loaded models.
    Prepared,
    /// The process of the worker ended, or was ended, for this reason.
    Died(String),
    /// The worker is to be replaced, and may serve meanwhile.
    LimitReached,
    /// The worker is to be replaced, and must not get calls meanwhile: some do not end.
    CallStuck,
    /// There is no room for a successor beside the worker.
    MustStopFirst,
    /// A successor has loaded models.
    SuccessorPrepared(W),
    NoSuccessor,
    /// The calls of the worker have ended, and so has its process.
    Drained,
    /// An order: keep this worker.
    Adopt(W),
    /// An order: end the worker, and have none.
    Vacate,
    /// An order: start a worker again.
    Restart,
    /// The server stops.
    Stop,
}

/// An action on the way to the next phase.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SlotAction<W> {
    /// Gives calls to the worker of the next phase.
    Admit,
    /// Ends a worker in the background, after its calls.
    LetFinish(W),
    /// Ends the open calls of a worker whose process is gone.
    Bury(W, String),
    /// Ends a worker since the server stops.
    ShutDown(W),
}

impl<W> SlotPhase<W> {
    /// The next phase, and the actions that lead to it, in order. An event that cannot happen in a phase
    /// changes nothing.
    pub(super) fn step(self, event: SlotEvent<W>) -> (Self, Vec<SlotAction<W>>) {
        use SlotAction::{Admit, Bury, LetFinish, ShutDown};
        match (self, event) {
            (Self::Stopped, _) => (Self::Stopped, Vec::new()),
            // In any other phase:
            (phase, SlotEvent::Stop) => {
                (Self::Stopped, phase.into_worker().map(ShutDown).into_iter().collect())
            }
            (phase, SlotEvent::Adopt(next)) => {
                let before = phase.into_worker().map(LetFinish);
                (Self::Serving(next), before.into_iter().collect())
            }
            (phase, SlotEvent::Vacate) => {
                (phase.into_worker().map_or(Self::Vacated, Self::Vacating), Vec::new())
            }
            (Self::BackingOff, SlotEvent::BackedOff) => (Self::Starting, Vec::new()),
            (Self::Starting, SlotEvent::Started(worker)) => (Self::Preparing(worker), Vec::new()),
            (Self::Starting, SlotEvent::NotStarted) => (Self::BackingOff, Vec::new()),
            (Self::Preparing(worker), SlotEvent::Prepared) => (Self::Serving(worker), vec![Admit]),
            (Self::Serving(worker), SlotEvent::LimitReached) => {
                (Self::Replacing(worker), Vec::new())
            }
            (Self::Serving(worker), SlotEvent::CallStuck) => (Self::Retiring(worker), Vec::new()),
            (Self::Replacing(worker) | Self::Retiring(worker), SlotEvent::MustStopFirst)
            | (Self::Retiring(worker), SlotEvent::NoSuccessor) => {
                (Self::Draining(worker), Vec::new())
            }
            (
                Self::Replacing(worker) | Self::Retiring(worker),
                SlotEvent::SuccessorPrepared(next),
            ) => (Self::Serving(next), vec![Admit, LetFinish(worker)]),
            // It goes on serving, and is judged again.
            (Self::Replacing(worker), SlotEvent::NoSuccessor) => {
                (Self::Serving(worker), Vec::new())
            }
            (
                Self::Preparing(worker)
                | Self::Serving(worker)
                | Self::Replacing(worker)
                | Self::Retiring(worker),
                SlotEvent::Died(reason),
            ) => (Self::BackingOff, vec![Bury(worker, reason)]),
            (Self::Draining(_), SlotEvent::Drained) | (Self::Vacated, SlotEvent::Restart) => {
                (Self::BackingOff, Vec::new())
            }
            (Self::Vacating(_), SlotEvent::Drained) => (Self::Vacated, Vec::new()),
            (phase, _) => (phase, Vec::new()),
        }
    }

    fn into_worker(self) -> Option<W> {
        match self {
            Self::Preparing(worker)
            | Self::Serving(worker)
            | Self::Replacing(worker)
            | Self::Retiring(worker)
            | Self::Draining(worker)
            | Self::Vacating(worker) => Some(worker),
            Self::BackingOff | Self::Starting | Self::Vacated | Self::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SlotAction::{Admit, Bury, LetFinish, ShutDown};
    use super::SlotEvent as Event;
    use super::SlotPhase::{self, *};

    type Step = (SlotPhase<u8>, Vec<super::SlotAction<u8>>);

    /// Every phase; the worker, where there is one, is 1.
    fn phases() -> [SlotPhase<u8>; 10] {
        [
            BackingOff,
            Starting,
            Preparing(1),
            Serving(1),
            Replacing(1),
            Retiring(1),
            Draining(1),
            Vacating(1),
            Vacated,
            Stopped,
        ]
    }

    fn died() -> Event<u8> {
        Event::Died("died".into())
    }

    #[test]
    fn a_slot_goes_from_phase_to_phase() {
        let buried = || (BackingOff, vec![Bury(1, "died".into())]);
        let cases: [(SlotPhase<u8>, Event<u8>, Step); 20] = [
            (BackingOff, Event::BackedOff, (Starting, vec![])),
            (Starting, Event::Started(1), (Preparing(1), vec![])),
            (Starting, Event::NotStarted, (BackingOff, vec![])),
            (Preparing(1), Event::Prepared, (Serving(1), vec![Admit])),
            (Preparing(1), died(), buried()),
            (Serving(1), died(), buried()),
            (Serving(1), Event::LimitReached, (Replacing(1), vec![])),
            (Serving(1), Event::CallStuck, (Retiring(1), vec![])),
            (Replacing(1), Event::MustStopFirst, (Draining(1), vec![])),
            (Replacing(1), Event::SuccessorPrepared(2), (Serving(2), vec![Admit, LetFinish(1)])),
            (Replacing(1), Event::NoSuccessor, (Serving(1), vec![])),
            (Replacing(1), died(), buried()),
            (Retiring(1), Event::MustStopFirst, (Draining(1), vec![])),
            (Retiring(1), Event::SuccessorPrepared(2), (Serving(2), vec![Admit, LetFinish(1)])),
            (Retiring(1), Event::NoSuccessor, (Draining(1), vec![])),
            (Retiring(1), died(), buried()),
            (Draining(1), Event::Drained, (BackingOff, vec![])),
            (Vacating(1), Event::Drained, (Vacated, vec![])),
            (Vacated, Event::Restart, (BackingOff, vec![])),
            (Vacated, Event::Vacate, (Vacated, vec![])),
        ];
        for (phase, event, expected) in cases {
            let told = format!("{phase:?}, {event:?}");
            assert_eq!(phase.step(event), expected, "{told}");
        }
    }

    #[test]
    fn a_slot_that_stops_ends_its_worker_and_stays_stopped() {
        for phase in phases() {
            let ends = phase.holds_worker().then_some(ShutDown(1)).into_iter().collect();
            assert_eq!(phase.step(Event::Stop), (Stopped, ends));
        }
        for event in [Event::BackedOff, Event::Adopt(2), Event::Vacate, Event::Restart] {
            assert_eq!(Stopped.step(event), (Stopped, vec![]));
        }
    }

    #[test]
    fn an_adopted_worker_serves_at_once_and_the_one_before_finishes() {
        for phase in phases().into_iter().filter(|phase| *phase != Stopped) {
            let ends = phase.holds_worker().then_some(LetFinish(1)).into_iter().collect();
            assert_eq!(phase.step(Event::Adopt(2)), (Serving(2), ends));
        }
    }

    #[test]
    fn a_slot_is_vacated_only_after_the_calls_of_its_worker() {
        for phase in phases().into_iter().filter(|phase| *phase != Stopped) {
            let next = if phase.holds_worker() { Vacating(1) } else { Vacated };
            assert_eq!(phase.step(Event::Vacate), (next, vec![]));
        }
    }

    #[test]
    fn an_event_that_cannot_happen_changes_nothing() {
        let events = || {
            [Event::BackedOff, Event::Started(2), Event::Prepared, Event::Drained, Event::Restart]
        };
        for (phase, same) in phases().into_iter().zip(phases()) {
            let expected = |event: &Event<u8>| {
                matches!(
                    (&same, event),
                    (BackingOff, Event::BackedOff)
                        | (Starting, Event::Started(_))
                        | (Preparing(_), Event::Prepared)
                        | (Draining(_) | Vacating(_), Event::Drained)
                        | (Vacated, Event::Restart)
                )
            };
            let mut phase = phase;
            for event in events().into_iter().filter(|event| !expected(event)) {
                let (next, actions) = phase.step(event);
                assert_eq!((&next, actions), (&same, vec![]));
                phase = next;
            }
        }
    }

    impl SlotPhase<u8> {
        fn holds_worker(&self) -> bool {
            !matches!(self, BackingOff | Starting | Vacated | Stopped)
        }
    }
}
