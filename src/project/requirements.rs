//! Makes the requirements files of models safe to install.
//!
//! Most examples of the original require the original package, which would replace this one. Such lines
//! are commented out.

/// Characters around a line that are ignored: white space, and the byte order mark of some editors.
const IGNORED_AROUND: &[char] = &[' ', '\t', '\r', '\n', '\u{feff}'];

/// A requirements file in which the lines that name label-studio-ml are commented out, and those lines.
#[derive(Debug, PartialEq, Eq)]
pub struct CleanedRequirements {
    pub text: String,
    pub commented_out: Vec<String>,
}

pub fn clean(text: &str) -> CleanedRequirements {
    let mut cleaned =
        CleanedRequirements { text: String::with_capacity(text.len()), commented_out: Vec::new() };
    let mut comments_out = false;
    let mut continued = false;
    for line in text.split_inclusive('\n') {
        comments_out = if continued { comments_out } else { names_this_package(line) };
        continued = line.trim_end().ends_with('\\');
        if comments_out {
            cleaned.commented_out.push(line.trim_matches(IGNORED_AROUND).to_owned());
            cleaned.text.push_str("# label-studio-ml is installed already: ");
        }
        cleaned.text.push_str(line);
    }
    cleaned
}

/// Whether a line installs label-studio-ml: by name, or from the address of its repository.
fn names_this_package(line: &str) -> bool {
    let line = line.trim_matches(IGNORED_AROUND);
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
            assert_eq!(cleaned.commented_out, [line.trim_matches(IGNORED_AROUND)], "{line}");
            let kept: Vec<_> = cleaned.text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(kept, ["numpy", "scikit-learn"], "{line}");
        }
    }

    #[test]
    fn a_continued_line_is_commented_out_as_a_whole() {
        let cleaned = clean("label-studio-ml \\\n  @ git+https://example.org/x\nnumpy\n");
        assert_eq!(
            cleaned.text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>(),
            ["numpy"]
        );
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let text = "label-studio-sdk>=1.0\nlabel-studio\n# label-studio-ml\nlabel-studio-ml-extras\r\n\n-r base.txt";
        assert_eq!(
            clean(text),
            CleanedRequirements { text: text.to_owned(), commented_out: Vec::new() }
        );
    }
}
