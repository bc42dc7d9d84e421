//! Any text as a labelling config: it is parsed or refused, with the same result each time, within limits.
#![no_main]

use label_studio_ml::labelling::check::Rules;
use label_studio_ml::labelling::config::{
    Dialect, LabelConfigError, ObjectSource, has_variable, parse,
};
use libfuzzer_sys::fuzz_target;

/// What a config may weigh at most (`parse::MAX_RESULT_BYTES`), and what JSON escapes make of it.
const HEAVIEST: usize = 6 * (64 << 20);

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let [tools, sdk] = [Dialect::Tools, Dialect::Sdk].map(|dialect| {
        let parsed = parse(&text, dialect);
        assert_eq!(parsed, parse(&text, dialect), "the same text, another answer");
        parsed
    });
    match (&tools, &sdk) {
        (Ok(tools), Ok(sdk)) => {
            // The dialects differ in what inputs and labels say, not in what is a control.
            let names = |config: &label_studio_ml::labelling::config::LabelConfig| {
                config.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(names(tools), names(sdk));
            for config in [tools, sdk] {
                let written = serde_json::to_vec(config).expect("a config is JSON");
                assert!(written.len() <= HEAVIEST);
                for (name, control) in config.iter() {
                    assert!(!name.is_empty());
                    assert!(control.objects().len() <= control.to_name().len());
                    assert!(control.labels().all(|label| control.has_label(label)));
                }
            }
            for (_, control) in tools.iter() {
                for input in control.objects() {
                    assert!(input.value_type().is_none());
                    assert!(matches!(input.source(), ObjectSource::Value(_)));
                }
            }
            Rules::parse(&text).expect("a config that is parsed has rules");
        }
        // Whether a text is well-formed is no matter of the dialect; how much it weighs is.
        (Err(LabelConfigError::TooLarge(_)), _) | (_, Err(LabelConfigError::TooLarge(_))) => {}
        (tools, sdk) => {
            assert_eq!(tools.as_ref().err(), sdk.as_ref().err());
        }
    }
    if let Err(LabelConfigError::Syntax { message, line, column }) = &sdk {
        assert!(!message.is_empty() && *column >= 1);
        assert!((1..=text.matches('\n').count() + 1).contains(line), "line {line} of {text:?}");
    }
    has_variable(&text);
});
