//! Control tags and what their regions look like.

/// A control tag of Label Studio, as far as its regions differ from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
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
pub(super) enum Region {
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
const TOOLS: [(&str, Tool, &str); 29] = [
    ("Bitmask", Tool::Bitmask, ""),
    ("BitmaskLabels", Tool::BitmaskLabels, "bitmasklabels"),
    ("Brush", Tool::Brush, ""),
    ("BrushLabels", Tool::BrushLabels, "brushlabels"),
    ("Choices", Tool::Choices, "choices"),
    ("DateTime", Tool::DateTime, "datetime"),
    ("Ellipse", Tool::Ellipse, ""),
    ("EllipseLabels", Tool::EllipseLabels, "ellipselabels"),
    ("HyperTextLabels", Tool::HyperTextLabels, "hypertextlabels"),
    ("KeyPoint", Tool::KeyPoint, ""),
    ("KeyPointLabels", Tool::KeyPointLabels, "keypointlabels"),
    ("Labels", Tool::Labels, "labels"),
    ("MagicWand", Tool::MagicWand, ""),
    ("Number", Tool::Number, "number"),
    ("Pairwise", Tool::Pairwise, "selected"),
    ("ParagraphLabels", Tool::ParagraphLabels, "paragraphlabels"),
    ("Polygon", Tool::Polygon, ""),
    ("PolygonLabels", Tool::PolygonLabels, "polygonlabels"),
    ("Ranker", Tool::Ranker, "ranker"),
    ("Rating", Tool::Rating, "rating"),
    ("Rectangle", Tool::Rectangle, ""),
    ("RectangleLabels", Tool::RectangleLabels, "rectanglelabels"),
    ("Taxonomy", Tool::Taxonomy, "taxonomy"),
    ("TextArea", Tool::TextArea, "text"),
    ("TimeSeriesLabels", Tool::TimeSeriesLabels, "timeserieslabels"),
    ("TimelineLabels", Tool::TimelineLabels, "timelinelabels"),
    ("Vector", Tool::Vector, ""),
    ("VectorLabels", Tool::VectorLabels, "vectorlabels"),
    ("VideoRectangle", Tool::VideoRectangle, "labels"),
];

/// Types of results that the editor knows besides those of [`TOOLS`].
const MORE_TYPES: [&str; 6] =
    ["relation", "reactcode", "chatmessage", "videovector", "videovectorlabels", "ocrlabels"];

impl Tool {
    pub(super) fn of(tag: &str) -> Self {
        let known = TOOLS.iter().find(|(name, ..)| *name == tag);
        known.map_or(Self::Other, |(_, tool, _)| *tool)
    }

    /// The key of `value` in which the labels or the answer are; none for bare shapes.
    pub(super) fn key(self) -> Option<&'static str> {
        let (.., key) = TOOLS.iter().find(|(_, tool, _)| *tool == self)?;
        (!key.is_empty()).then_some(key)
    }

    /// Whether the editor draws a region of this tag that says it is of type `kind`. It takes the
    /// plain shape for its labelled kin.
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

    pub(super) fn region(self, object: Option<&str>) -> Region {
        match self {
            Self::Rectangle | Self::RectangleLabels => Region::Rectangle,
            Self::Ellipse | Self::EllipseLabels => Region::Ellipse,
            Self::KeyPoint | Self::KeyPointLabels => Region::KeyPoint,
            Self::Polygon | Self::PolygonLabels => Region::Polygon,
            Self::Brush | Self::BrushLabels | Self::MagicWand => Region::Brush,
            Self::Bitmask | Self::BitmaskLabels => Region::Bitmask,
            Self::Vector | Self::VectorLabels => Region::Vector,
            Self::VideoRectangle => Region::VideoRectangle,
            Self::TimelineLabels => Region::Timeline,
            Self::TimeSeriesLabels => Region::TimeSeries,
            Self::ParagraphLabels => Region::Paragraphs,
            Self::HyperTextLabels => Region::HyperText,
            Self::Labels => match object {
                Some("Text") => Region::Text,
                Some("HyperText") => Region::HyperText,
                Some("Paragraphs") => Region::Paragraphs,
                Some("Audio" | "AudioPlus") => Region::Seconds,
                Some("TimeSeries") => Region::TimeSeries,
                Some("Image") => Region::OnImage,
                _ => Region::Whole,
            },
            _ => Region::Whole,
        }
    }
}

fn is_lower(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether the editor knows a type at all; on one that it does not know it fails.
pub(super) fn is_known_type(kind: &str) -> bool {
    let of_tag = |(tag, ..): &(&str, Tool, &str)| kind.eq_ignore_ascii_case(tag);
    is_lower(kind) && (TOOLS.iter().any(of_tag) || MORE_TYPES.contains(&kind))
}
