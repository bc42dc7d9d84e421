//! What a check finds: causes, places, sentences.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// What is wrong with an answer; the same cause in many places is one mistake of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The results are not a list.
    ResultsNotAList,
    /// No results for the tasks that were asked for.
    NoResults,
    /// One result for several tasks.
    OneForSeveral,
    /// Another number of results than tasks.
    WrongNumberOfResults,
    /// `None` for a task; an empty list is sent in its place.
    NullItem,
    /// A prediction that is not a dict.
    PredictionNotADict,
    /// A prediction without `result`.
    ResultMissing,
    /// `result` is `None`.
    ResultNull,
    /// `result` is something other than a list.
    ResultNotAList,
    /// A score that is not a number.
    ScoreNotANumber,
    /// `model_version` is `None`; the served version is sent in its place.
    NullVersion,
    /// A version that is not the one /setup tells.
    OtherVersion,
    /// A region that is not a dict.
    RegionNotADict,
    /// No `from_name`, or one that no control tag has.
    FromName,
    /// No `to_name`, or one that the control tag does not point to.
    ToName,
    /// No `type`, or one that Label Studio does not know.
    UnknownType,
    /// The type of another control tag.
    WrongType,
    /// No `value`, or one that is not a dict.
    NoValue,
    /// The value lacks what the control tag needs.
    MissingKey,
    /// Something in the value has the wrong type.
    WrongValue,
    /// A number outside of what is allowed, such as pixels where percent are expected.
    OutOfRange,
    /// A span that is empty or ends before it begins.
    EmptySpan,
    /// A span that ends after its text.
    BeyondText,
    /// A text that is not the one between the ends of its span.
    OtherText,
    /// An index of an item that the task does not have.
    ItemIndex,
    /// A mask without the size of its image.
    ImageSize,
    /// A label that the labelling config does not have.
    UnknownLabel,
    /// Two regions of one control tag with the same id.
    DuplicateId,
    /// A relation that names a region that is not there, or no direction.
    Relation,
    /// An answer to a client that has a protocol of its own with the model; a note.
    ProtocolAnswer,
    /// The answer cannot be read as JSON.
    Unreadable,
}

impl Cause {
    /// Whether it is not a mistake, and told only once.
    pub fn is_note(self) -> bool {
        self == Self::ProtocolAnswer
    }

    /// What Label Studio does with it.
    pub fn effect(self) -> &'static str {
        match self {
            Self::ResultsNotAList | Self::NoResults => "Label Studio stores no prediction",
            Self::OneForSeveral => {
                "Label Studio throws it away and asks for every task again, one by one"
            }
            Self::WrongNumberOfResults => {
                "Label Studio cannot tell which task each belongs to and stores none of them"
            }
            Self::NullItem => "Label Studio answers 500 to that, so an empty list is sent instead",
            Self::NullVersion => {
                "Label Studio refuses the whole batch for that, so the served version is sent instead"
            }
            Self::PredictionNotADict => {
                "Label Studio answers 500, or skips it, and the other predictions may be lost with it"
            }
            Self::ResultMissing => "Label Studio skips this prediction",
            Self::ResultNull | Self::ScoreNotANumber | Self::RegionNotADict => {
                "Label Studio refuses the whole batch with 400"
            }
            Self::OtherVersion => "Label Studio asks for these predictions again and again",
            Self::ResultNotAList | Self::UnknownType | Self::NoValue => {
                "the editor fails on it and shows nothing of this prediction"
            }
            Self::FromName => "the editor drops the region, or draws it without a label",
            Self::ToName => "the editor drops the region",
            Self::WrongType => "the editor drops the region or its label",
            Self::MissingKey | Self::WrongValue => "the editor does not show it",
            Self::OutOfRange => "the editor draws it outside of what can be seen",
            Self::EmptySpan => "the editor highlights nothing",
            Self::BeyondText => "the editor highlights less of the text, or nothing",
            Self::OtherText => "the editor highlights what stands at `start` to `end`",
            Self::ItemIndex => "the editor shows it on no item",
            Self::ImageSize => {
                "the editor draws the mask late or not at all, and exports cannot decode it"
            }
            Self::ProtocolAnswer => {
                "only a client that knows this type understands it; Label Studio's own editor does not"
            }
            Self::UnknownLabel => {
                "the editor selects nothing, or draws the region with a label that nobody can choose"
            }
            Self::DuplicateId => "the editor takes them for one region and shows only the first",
            Self::Relation => "the editor drops the relation",
            Self::Unreadable => "it could not be checked",
        }
    }
}

/// One place at which something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub cause: Cause,
    /// Index of the result, which is that of the task; none if it is about the results as a whole.
    #[serde(skip)]
    pub item: Option<usize>,
    /// Id of the task as text, where the request has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Where in the answer: `results[0].result[2].value.x`.
    pub path: String,
    /// What of the labelling config it is about, a control tag mostly: with the cause, it tells one
    /// mistake from another.
    pub subject: String,
    /// What is there and what was expected.
    pub problem: String,
}

impl Finding {
    pub(super) fn at(
        cause: Cause,
        place: FindingPlace,
        rest: &str,
        subject: &str,
        problem: String,
    ) -> Self {
        Self {
            cause,
            item: Some(place.item),
            task: None,
            path: place.path(rest),
            subject: subject.to_owned(),
            problem,
        }
    }

    /// About the results as a whole.
    pub(super) fn of_all(cause: Cause, path: &str, problem: String) -> Self {
        Self {
            cause,
            item: None,
            task: None,
            path: path.to_owned(),
            subject: String::new(),
            problem,
        }
    }

    /// Index of the task, also of the first one of a finding about several.
    pub(super) fn task_index(&self) -> Option<usize> {
        self.item.or_else(|| self.path.strip_prefix("results[")?.split_once(']')?.0.parse().ok())
    }

    /// Name of the control tag, empty if it concerns none. Any other subject is a version.
    pub fn control(&self) -> &str {
        if self.cause == Cause::OtherVersion { "" } else { &self.subject }
    }

    /// The finding in one sentence, which begins with the task.
    pub fn sentence(&self) -> String {
        let task = self.task.as_ref().map(|task| format!("task {task}: ")).unwrap_or_default();
        task + &self.without_task()
    }

    /// The sentence where the task is told beside it.
    pub fn without_task(&self) -> String {
        format!("{} {}: {}", self.path, self.problem, self.cause.effect())
    }
}

/// The findings of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// The first [`MOST_KEPT`], and the first of each further cause.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub total: usize,
    /// The first of each cause of what is told once and is not a mistake.
    pub notes: Vec<Finding>,
}

/// Maximum number of findings of one answer that are kept whatever their cause.
const MOST_KEPT: usize = 100;

impl Checked {
    /// Adds what was mended while the answer was written.
    pub(super) fn add_mended(&mut self, mended: &Mended) {
        let all = [
            (Cause::NullItem, &mended.null_items, "a list of predictions, empty for none"),
            (Cause::NullVersion, &mended.null_versions, "a text"),
        ];
        for (cause, places, expected) in all {
            let Some(Places { first, count }) = places else { continue };
            self.total += count;
            let others =
                if *count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            let problem = format!("is None instead of {expected}{others}");
            self.findings.push(Finding::of_all(cause, first, problem));
        }
    }

    /// The first finding of each mistake, then the notes: a mistake in a hundred regions counts once.
    pub fn first_of_each(&self) -> impl Iterator<Item = &Finding> {
        let is_first = |(index, finding): &(usize, &Finding)| {
            let before = &self.findings[..*index];
            before.iter().all(|it| it.cause != finding.cause || it.subject != finding.subject)
        };
        let first = self.findings.iter().enumerate().filter(is_first);
        first.map(|(_, finding)| finding).chain(&self.notes)
    }

    /// Adds something that is not a mistake. `describe` is called only for the first of a cause.
    pub(super) fn note(&mut self, cause: Cause, describe: impl FnOnce() -> Finding) {
        if self.notes.iter().all(|note| note.cause != cause) {
            self.notes.push(describe());
        }
    }

    /// Adds a finding in front of all others.
    pub(super) fn add_first(&mut self, finding: Finding) {
        self.total += 1;
        self.findings.insert(0, finding);
    }

    /// Adds a finding. `describe` is called only for those that are kept.
    pub(super) fn add(&mut self, cause: Cause, describe: impl FnOnce() -> Finding) {
        self.total += 1;
        // A mistake that shows late must not hide behind a hundred of another kind.
        let is_new = || self.findings.iter().all(|finding| finding.cause != cause);
        if self.findings.len() < MOST_KEPT || is_new() {
            self.findings.push(describe());
        }
    }
}

/// What was put in the place of values on which Label Studio would fail, while the answer was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// `None` for a task, sent as `[]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_items: Option<Places>,
    /// `None` for a version, sent as the version that is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_versions: Option<Places>,
}

/// Places in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    pub first: String,
    pub count: usize,
}

impl Mended {
    pub fn is_empty(&self) -> bool {
        self.null_items.is_none() && self.null_versions.is_none()
    }
}

impl Places {
    /// Counts one more; `path` is called only for the first.
    pub fn note(places: &mut Option<Self>, path: impl FnOnce() -> String) {
        match places {
            Some(places) => places.count += 1,
            None => *places = Some(Self { first: path(), count: 1 }),
        }
    }
}

/// Where the check is; written as a path only when something is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct FindingPlace {
    pub(super) item: usize,
    /// Index in the item, where that is a list of predictions.
    pub(super) prediction: Option<usize>,
    pub(super) region: Option<usize>,
}

impl FindingPlace {
    /// The path of something at this place.
    pub(super) fn path(self, rest: &str) -> String {
        let mut path = format!("results[{}]", self.item);
        // Writing to a string cannot fail.
        if let Some(prediction) = self.prediction {
            let _ = write!(path, "[{prediction}]");
        }
        if let Some(region) = self.region {
            let _ = write!(path, ".result[{region}]");
        }
        if !rest.is_empty() && !rest.starts_with('[') {
            path.push('.');
        }
        path.push_str(rest);
        path
    }
}
