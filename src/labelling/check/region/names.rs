//! The names in a region: its control tag, its object tag, and the numbers that stand for variables of a Repeater.

use jiter::JsonValue;

use crate::labelling::check::control::{ControlRules, ControlTarget};
use crate::labelling::check::display::{quote, show};
use crate::labelling::check::finding::Cause;
use crate::labelling::check::json::{JsonMembers, member};
use crate::labelling::check::repeater::{Bindings, index};
use crate::labelling::check::report::RegionReport;
use crate::labelling::check::rules::{FoundControl, Rules};

/// What the names of a region mean.
pub(super) struct RegionNames<'r, 'n> {
    from_name: Option<&'n JsonValue<'n>>,
    to_name: Option<&'n JsonValue<'n>>,
    control: Option<FoundControl<'r, 'n>>,
    target: Option<(&'r ControlTarget, Bindings<'n>)>,
}

impl<'r, 'n> RegionNames<'r, 'n> {
    pub(super) fn of(region: &'n JsonMembers<'n>, rules: &'r Rules) -> Self {
        let (from_name, to_name) = (member(region, "from_name"), member(region, "to_name"));
        let control = match from_name {
            Some(JsonValue::Str(name)) => rules.control(name),
            _ => None,
        };
        let target = match (&control, to_name) {
            (Some(found), Some(JsonValue::Str(name))) => found.control.target(name),
            _ => None,
        };
        Self { from_name, to_name, control, target }
    }

    pub(super) fn control(&self) -> Option<&'r ControlRules> {
        self.control.as_ref().map(|found| found.control)
    }

    /// The object tag.
    pub(super) fn target(&self) -> Option<&'r ControlTarget> {
        self.target.as_ref().map(|(target, _)| *target)
    }

    /// What both names put in the place of variables, where those are numbers.
    pub(super) fn bindings(&self) -> Bindings<'n> {
        let of_control = self.control.iter().flat_map(|found| &found.bindings);
        let of_target = self.target.iter().flat_map(|(_, bindings)| bindings);
        let numbers = of_control.chain(of_target).filter(|(_, text)| index(text).is_some());
        numbers.copied().collect()
    }

    /// Which of the names says the index of a Repeater: the cause of what is wrong with it, its key, the name.
    pub(super) fn place_of(&self, repeater: usize) -> (Cause, &'static str, String) {
        let is_in_control = self
            .control
            .as_ref()
            .is_some_and(|found| found.bindings.iter().any(|(bound, _)| *bound == repeater));
        let (cause, key, name) = if is_in_control {
            (Cause::FromName, "from_name", self.from_name)
        } else {
            (Cause::ToName, "to_name", self.to_name)
        };
        (cause, key, name.map(show).unwrap_or_default())
    }

    /// Adds what is wrong with the names.
    pub(super) fn tell(&self, rules: &Rules, report: &mut RegionReport<'_>) {
        let Some(FoundControl { control, bindings }) = &self.control else {
            return report.add(Cause::FromName, "from_name", || match self.from_name {
                Some(found) => format!(
                    "is {}, and the labelling config has no such control tag (it has {})",
                    show(found),
                    rules.names()
                ),
                None => format!("is missing; the control tags are {}", rules.names()),
            });
        };
        numbers(self.from_name, bindings, rules, Cause::FromName, "from_name", report);
        if let Some((_, of_target)) = &self.target {
            numbers(self.to_name, of_target, rules, Cause::ToName, "to_name", report);
            return self.tell_difference(bindings, of_target, report);
        }
        report.add(Cause::ToName, "to_name", || {
            let found = self
                .to_name
                .map_or_else(|| "is missing".into(), |name| format!("is {}", show(name)));
            format!(
                "{found}, and the control tag {} points to {}",
                quote(&control.name),
                control.objects()
            )
        });
    }

    /// Adds that both names speak of different items of one list.
    fn tell_difference(
        &self,
        of_control: &Bindings<'_>,
        of_target: &Bindings<'_>,
        report: &mut RegionReport<'_>,
    ) {
        let differs = |(repeater, text): &(usize, &str)| {
            let is_other = |there: &str| index(there).is_some() && there != *text;
            index(text).is_some()
                && of_target.iter().any(|(other, there)| other == repeater && is_other(there))
        };
        if let (true, Some(to_name), Some(from_name)) =
            (of_control.iter().any(differs), self.to_name, self.from_name)
        {
            report.add(Cause::ToName, "to_name", || {
                format!("is {}, and `from_name` is {}", show(to_name), show(from_name))
            });
        }
    }
}

/// Adds that something other than a number stands for a variable.
fn numbers(
    name: Option<&JsonValue<'_>>,
    bindings: &Bindings<'_>,
    rules: &Rules,
    cause: Cause,
    path: &str,
    report: &mut RegionReport<'_>,
) {
    let Some((repeater, _)) = bindings.iter().find(|(_, text)| index(text).is_none()) else {
        return;
    };
    let flag = rules.repeaters.get(*repeater).map_or("", |repeater| &repeater.flag);
    let found = name.map(show).unwrap_or_default();
    report.add(cause, path, || {
        format!("is {found}, and {flag} stands for the number of an item, from 0 on")
    });
}
