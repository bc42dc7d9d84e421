//! The kinds of control tags, and the kind of region that each makes.

/// A control tag of Label Studio, as far as its regions differ from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ControlKind {
    Bitmask,
    BitmaskLabels,
    Brush,
    BrushLabels,
    Chat,
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
    OcrLabels,
    Pairwise,
    ParagraphLabels,
    Polygon,
    PolygonLabels,
    Ranker,
    Rating,
    ReactCode,
    Rectangle,
    RectangleLabels,
    Taxonomy,
    TextArea,
    TimeSeriesLabels,
    TimelineLabels,
    Vector,
    VectorLabels,
    VideoRectangle,
    VideoVector,
    VideoVectorLabels,
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
    /// A rectangle on a page, in units of the page.
    OcrBox,
    VideoRectangle,
    VideoVector,
    Timeline,
}

/// Tags by name, with the key of `value` in which their labels or answers are.
const TOOLS: [(&str, ControlKind, &str); 34] = [
    ("Bitmask", ControlKind::Bitmask, ""),
    ("BitmaskLabels", ControlKind::BitmaskLabels, "bitmasklabels"),
    ("Brush", ControlKind::Brush, ""),
    ("BrushLabels", ControlKind::BrushLabels, "brushlabels"),
    ("Chat", ControlKind::Chat, "chatmessage"),
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
    ("OcrLabels", ControlKind::OcrLabels, "ocrlabels"),
    ("Pairwise", ControlKind::Pairwise, "selected"),
    ("ParagraphLabels", ControlKind::ParagraphLabels, "paragraphlabels"),
    ("Polygon", ControlKind::Polygon, ""),
    ("PolygonLabels", ControlKind::PolygonLabels, "polygonlabels"),
    ("Ranker", ControlKind::Ranker, "ranker"),
    ("Rating", ControlKind::Rating, "rating"),
    ("ReactCode", ControlKind::ReactCode, "reactcode"),
    ("Rectangle", ControlKind::Rectangle, ""),
    ("RectangleLabels", ControlKind::RectangleLabels, "rectanglelabels"),
    ("Taxonomy", ControlKind::Taxonomy, "taxonomy"),
    ("TextArea", ControlKind::TextArea, "text"),
    ("TimeSeriesLabels", ControlKind::TimeSeriesLabels, "timeserieslabels"),
    ("TimelineLabels", ControlKind::TimelineLabels, "timelinelabels"),
    ("Vector", ControlKind::Vector, ""),
    ("VectorLabels", ControlKind::VectorLabels, "vectorlabels"),
    ("VideoRectangle", ControlKind::VideoRectangle, "labels"),
    ("VideoVector", ControlKind::VideoVector, "labels"),
    ("VideoVectorLabels", ControlKind::VideoVectorLabels, "videovectorlabels"),
];

/// Types that no tag has as its name in lower case. The editor reads `htmllabels` as `hypertextlabels`.
const MORE_TYPES: [&str; 3] = ["relation", "chatmessage", "htmllabels"];

impl ControlKind {
    /// The kind of a tag; the editor takes the names of tags in any case.
    pub(super) fn of(tag: &str) -> Self {
        let known = TOOLS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(tag));
        known.map_or(Self::Other, |(_, tool, _)| *tool)
    }

    /// The key of `value` in which the labels or the answer are; none for bare shapes.
    pub(super) fn key(self) -> Option<&'static str> {
        let (.., key) = TOOLS.iter().find(|(_, tool, _)| *tool == self)?;
        (!key.is_empty()).then_some(key)
    }

    /// The kind whose `type` and `value` a shape has together with its labels.
    pub(super) fn labelled(self) -> Option<Self> {
        Some(match self {
            Self::Bitmask => Self::BitmaskLabels,
            Self::Brush | Self::MagicWand => Self::BrushLabels,
            Self::Ellipse => Self::EllipseLabels,
            Self::KeyPoint => Self::KeyPointLabels,
            Self::Polygon => Self::PolygonLabels,
            Self::Rectangle => Self::RectangleLabels,
            Self::Vector => Self::VectorLabels,
            Self::VideoVector => Self::VideoVectorLabels,
            _ => return None,
        })
    }

    /// Whether it is made of the shape with this name, and labels.
    fn is_labelled(self, shape: &str) -> bool {
        let shape = Self::of(shape);
        shape != Self::MagicWand && shape.labelled() == Some(self)
    }

    /// Whether regions of the tag may have the labels of a `Labels` tag beside it, or none.
    pub(super) fn borrows_labels(self) -> bool {
        matches!(self, Self::VideoRectangle | Self::VideoVector)
    }

    /// Whether the tag is control tag and object tag at once, and needs no `toName`.
    pub(super) fn is_object_too(self) -> bool {
        matches!(self, Self::Chat | Self::ReactCode)
    }

    /// Whether a region may name the control tag in `to_name`.
    pub(super) fn takes_own_name(self) -> bool {
        self.is_object_too() || matches!(self, Self::Pairwise | Self::Ranker)
    }

    /// Whether regions of the tag are drawn, and their labels say what they are.
    pub(super) fn labels_regions(self) -> bool {
        self == Self::Labels || self.region(None) != RegionKind::Whole
    }

    /// The type of the regions that the editor writes for the tag.
    pub(super) fn own_type(self, tag: &str) -> String {
        match self {
            Self::Chat => "chatmessage".into(),
            _ => tag.to_ascii_lowercase(),
        }
    }

    /// Whether the editor draws a region of this tag whose `type` is `kind`. It also takes the name
    /// of the plain shape (`rectangle` for `RectangleLabels`).
    pub(super) fn accepts(self, tag: &str, kind: &str) -> bool {
        let is_own = kind.eq_ignore_ascii_case(tag) && is_lower(kind);
        match self {
            Self::Other => true,
            Self::Chat => kind == "chatmessage",
            Self::MagicWand | Self::Brush => is_own || matches!(kind, "brush" | "brushlabels"),
            Self::HyperTextLabels => is_own || kind == "htmllabels",
            _ => is_own || (is_lower(kind) && self.is_labelled(kind)),
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
            Self::OcrLabels => RegionKind::OcrBox,
            Self::VideoRectangle => RegionKind::VideoRectangle,
            Self::VideoVector | Self::VideoVectorLabels => RegionKind::VideoVector,
            Self::TimelineLabels => RegionKind::Timeline,
            Self::TimeSeriesLabels => RegionKind::TimeSeries,
            Self::ParagraphLabels => RegionKind::Paragraphs,
            Self::HyperTextLabels => RegionKind::HyperText,
            Self::Labels => object.map_or(RegionKind::Whole, region_of_labels),
            _ => RegionKind::Whole,
        }
    }
}

/// How regions of a `Labels` tag lie in an object tag.
fn region_of_labels(object: &str) -> RegionKind {
    const REGIONS: [(&str, RegionKind); 8] = [
        ("Text", RegionKind::Text),
        ("HyperText", RegionKind::HyperText),
        ("RichText", RegionKind::HyperText),
        ("Paragraphs", RegionKind::Paragraphs),
        ("Audio", RegionKind::Seconds),
        ("AudioPlus", RegionKind::Seconds),
        ("TimeSeries", RegionKind::TimeSeries),
        ("Image", RegionKind::OnImage),
    ];
    let known = REGIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(object));
    known.map_or(RegionKind::Whole, |(_, region)| *region)
}

fn is_lower(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether the editor knows a type at all; it fails on one that it does not know.
pub(super) fn is_known_type(kind: &str) -> bool {
    let of_tag = |(tag, tool, _): &(&str, ControlKind, &str)| {
        *tool != ControlKind::Chat && kind.eq_ignore_ascii_case(tag)
    };
    is_lower(kind) && (TOOLS.iter().any(of_tag) || MORE_TYPES.contains(&kind))
}

/// Whether a value has labels or an answer of any tag in it.
pub(super) fn is_answer_key(key: &str) -> bool {
    TOOLS.iter().any(|(.., answer)| !answer.is_empty() && *answer == key)
}
