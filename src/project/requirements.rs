//! Requirements files of models, made safe to install.
//!
//! Nearly every example of the original carries a line that installs the original package, which
//! would replace this one. Such lines are commented out.

/// What may stand round a line: white space, and the byte order mark of some editors.
const NOISE: &[char] = &[' ', '\t', '\r', '\n', '\u{feff}'];

/// A requirements file without the lines that name label-studio-ml, and those lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Cleaned {
    pub text: String,
    pub removed: Vec<String>,
}

pub fn clean(text: &str) -> Cleaned {
    let mut cleaned = Cleaned { text: String::with_capacity(text.len()), removed: Vec::new() };
    let mut removing = false;
    let mut continued = false;
    for line in text.split_inclusive('\n') {
        removing = if continued { removing } else { names_this_package(line) };
        continued = line.trim_end().ends_with('\\');
        if removing {
            cleaned.removed.push(line.trim_matches(NOISE).to_owned());
            cleaned.text.push_str("# label-studio-ml is installed already: ");
        }
        cleaned.text.push_str(line);
    }
    cleaned
}

/// Whether a line installs label-studio-ml: by name, or from the address of its repository.
fn names_this_package(line: &str) -> bool {
    let line = line.trim_matches(NOISE);
    if line.is_empty() || line.starts_with('#') {
        return false;
    }
    let line = line.split(" #").next().unwrap_or(line).to_ascii_lowercase();
    let name_end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(line.len());
    let canonical: String = line[..name_end]
        .split(['-', '_', '.'])
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    canonical == "label-studio-ml"
        || line.contains("label-studio-ml-backend")
        || line.contains("label_studio_ml-")
        || line.contains("label-studio-ml-1")
        || line.contains("egg=label-studio-ml")
        || line.contains("egg=label_studio_ml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_would_replace_this_package_are_commented_out() {
        for line in [
            "label-studio-ml",
            "label_studio_ml>=1.0.9",
            "Label.Studio-ML == 1.0.4",
            "label-studio-ml @ git+https://github.com/HumanSignal/label-studio-ml-backend.git@master",
            "git+https://github.com/heartexlabs/label-studio-ml-backend.git",
            "-e git+https://example.org/x.git#egg=label-studio-ml",
            "  label-studio-ml[redis]  # comment",
            "\u{feff}label-studio-ml",
            "https://example.org/label_studio_ml-1.0.9-py3-none-any.whl",
        ] {
            let cleaned = clean(&format!("numpy\n{line}\nscikit-learn"));
            assert_eq!(cleaned.removed, [line.trim_matches(NOISE)], "{line}");
            let kept: Vec<_> = cleaned.text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(kept, ["numpy", "scikit-learn"], "{line}");
        }
    }

    #[test]
    fn a_continued_line_goes_as_a_whole() {
        let cleaned = clean("label-studio-ml \\\n  @ git+https://example.org/x\nnumpy\n");
        assert_eq!(
            cleaned.text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>(),
            ["numpy"]
        );
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let text = "label-studio-sdk>=1.0\nlabel-studio\n# label-studio-ml\nlabel-studio-ml-extras\r\n\n-r base.txt";
        assert_eq!(clean(text), Cleaned { text: text.to_owned(), removed: Vec::new() });
    }
}
