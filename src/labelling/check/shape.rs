//! The kinds of control tags, and the kind of region that each makes.

/// A control tag of Label Studio, as far as its regions differ from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ControlKind {
    Bitmask,
    BitmaskLabels,
    Brush,
    BrushLabels,
    Choices,
    DateTime,
    Ellipse,
    EllipseLabels,
    HyperTextLabels,
    KeyPoint,
    KeyPointLabels,
    Labels,
    MagicWand,
    Number,
    Pairwise,
    ParagraphLabels,
    Polygon,
    PolygonLabels,
    Ranker,
    Rating,
    Rectangle,
    RectangleLabels,
    Taxonomy,
    TextArea,
    TimeSeriesLabels,
    TimelineLabels,
    Vector,
    VectorLabels,
    VideoRectangle,
    /// A tag that is not checked further: a new one, or one of a user's own.
    Other,
}

/// How a region lies in what its object tag shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegionKind {
    /// It belongs to the task as a whole, or nothing is known.
    Whole,
    /// Characters of a text.
    Text,
    /// Seconds of a recording.
    Seconds,
    HyperText,
    Paragraphs,
    TimeSeries,
    Rectangle,
    Ellipse,
    KeyPoint,
    Polygon,
    Brush,
    Bitmask,
    Vector,
    /// Any of those on an image.
    OnImage,
    VideoRectangle,
    Timeline,
}

/// Tags by name, with the key of `value` in which their labels or answers are.
const TOOLS: [(&str, ControlKind, &str); 29] = [
    ("Bitmask", ControlKind::Bitmask, ""),
    ("BitmaskLabels", ControlKind::BitmaskLabels, "bitmasklabels"),
    ("Brush", ControlKind::Brush, ""),
    ("BrushLabels", ControlKind::BrushLabels, "brushlabels"),
    ("Choices", ControlKind::Choices, "choices"),
    ("DateTime", ControlKind::DateTime, "datetime"),
    ("Ellipse", ControlKind::Ellipse, ""),
    ("EllipseLabels", ControlKind::EllipseLabels, "ellipselabels"),
    ("HyperTextLabels", ControlKind::HyperTextLabels, "hypertextlabels"),
    ("KeyPoint", ControlKind::KeyPoint, ""),
    ("KeyPointLabels", ControlKind::KeyPointLabels, "keypointlabels"),
    ("Labels", ControlKind::Labels, "labels"),
    ("MagicWand", ControlKind::MagicWand, ""),
    ("Number", ControlKind::Number, "number"),
    ("Pairwise", ControlKind::Pairwise, "selected"),
    ("ParagraphLabels", ControlKind::ParagraphLabels, "paragraphlabels"),
    ("Polygon", ControlKind::Polygon, ""),
    ("PolygonLabels", ControlKind::PolygonLabels, "polygonlabels"),
    ("Ranker", ControlKind::Ranker, "ranker"),
    ("Rating", ControlKind::Rating, "rating"),
    ("Rectangle", ControlKind::Rectangle, ""),
    ("RectangleLabels", ControlKind::RectangleLabels, "rectanglelabels"),
    ("Taxonomy", ControlKind::Taxonomy, "taxonomy"),
    ("TextArea", ControlKind::TextArea, "text"),
    ("TimeSeriesLabels", ControlKind::TimeSeriesLabels, "timeserieslabels"),
    ("TimelineLabels", ControlKind::TimelineLabels, "timelinelabels"),
    ("Vector", ControlKind::Vector, ""),
    ("VectorLabels", ControlKind::VectorLabels, "vectorlabels"),
    ("VideoRectangle", ControlKind::VideoRectangle, "labels"),
];

/// Types of results that the editor knows besides those of [`TOOLS`].
const MORE_TYPES: [&str; 6] =
    ["relation", "reactcode", "chatmessage", "videovector", "videovectorlabels", "ocrlabels"];

impl ControlKind {
    pub(super) fn of(tag: &str) -> Self {
        let known = TOOLS.iter().find(|(name, ..)| *name == tag);
        known.map_or(Self::Other, |(_, tool, _)| *tool)
    }

    /// The key of `value` in which the labels or the answer are; none for bare shapes.
    pub(super) fn key(self) -> Option<&'static str> {
        let (.., key) = TOOLS.iter().find(|(_, tool, _)| *tool == self)?;
        (!key.is_empty()).then_some(key)
    }

    /// Whether the editor draws a region of this tag whose `type` is `kind`. It also takes the name
    /// of the plain shape (`rectangle` for `RectangleLabels`).
    pub(super) fn accepts(self, tag: &str, kind: &str) -> bool {
        let is_own = kind.eq_ignore_ascii_case(tag) && is_lower(kind);
        is_own
            || match self {
                Self::Other => true,
                Self::MagicWand | Self::Brush => matches!(kind, "brush" | "brushlabels"),
                _ => {
                    let plain = tag.strip_suffix("Labels").filter(|plain| !plain.is_empty());
                    plain.is_some_and(|plain| kind.eq_ignore_ascii_case(plain) && is_lower(kind))
                }
            }
    }

    pub(super) fn region(self, object: Option<&str>) -> RegionKind {
        match self {
            Self::Rectangle | Self::RectangleLabels => RegionKind::Rectangle,
            Self::Ellipse | Self::EllipseLabels => RegionKind::Ellipse,
            Self::KeyPoint | Self::KeyPointLabels => RegionKind::KeyPoint,
            Self::Polygon | Self::PolygonLabels => RegionKind::Polygon,
            Self::Brush | Self::BrushLabels | Self::MagicWand => RegionKind::Brush,
            Self::Bitmask | Self::BitmaskLabels => RegionKind::Bitmask,
            Self::Vector | Self::VectorLabels => RegionKind::Vector,
            Self::VideoRectangle => RegionKind::VideoRectangle,
            Self::TimelineLabels => RegionKind::Timeline,
            Self::TimeSeriesLabels => RegionKind::TimeSeries,
            Self::ParagraphLabels => RegionKind::Paragraphs,
            Self::HyperTextLabels => RegionKind::HyperText,
            Self::Labels => match object {
                Some("Text") => RegionKind::Text,
                Some("HyperText") => RegionKind::HyperText,
                Some("Paragraphs") => RegionKind::Paragraphs,
                Some("Audio" | "AudioPlus") => RegionKind::Seconds,
                Some("TimeSeries") => RegionKind::TimeSeries,
                Some("Image") => RegionKind::OnImage,
                _ => RegionKind::Whole,
            },
            _ => RegionKind::Whole,
        }
    }
}

fn is_lower(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether the editor knows a type at all; it fails on one that it does not know.
pub(super) fn is_known_type(kind: &str) -> bool {
    let of_tag = |(tag, ..): &(&str, ControlKind, &str)| kind.eq_ignore_ascii_case(tag);
    is_lower(kind) && (TOOLS.iter().any(of_tag) || MORE_TYPES.contains(&kind))
}
