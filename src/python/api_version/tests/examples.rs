//! The examples of the original: the shapes of their classes, and which base class they extend.

use super::{class, verdict};

/// The version, the class, the heads of its methods, and the names of the base class that it reads.
const EXAMPLES: &[(u8, &str, &[&str], &[&str])] = &[
    (
        1,
        "DummyModel",
        &[
            "__init__(self, **kwargs)",
            "fit(self, completions, workdir=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["parsed_label_config"],
    ),
    (
        1,
        "ElectraTextClassifier",
        &[
            "__init__(self, **kwargs)",
            "fit(self, completions, workdir=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &[],
    ),
    (
        1,
        "SequenceTaggerModel",
        &[
            "__init__(self, **kwargs)",
            "fit(self, completions, workdir=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["parsed_label_config", "train_output"],
    ),
    (
        1,
        "DialoGPTSimpleGenerator",
        &[
            "__init__(self, num_responses=None, model=None, **kwargs)",
            "fit(self, completions, workdir=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["label_config", "parsed_label_config"],
    ),
    (
        1,
        "MMDetection",
        &[
            "__init__(self, config_file=None, checkpoint_file=None, image_dir=None, labels_file=None, score_threshold=None, device=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["get_local_path", "parsed_label_config"],
    ),
    (
        1,
        "NemoASR",
        &[
            "__init__(self, model_name=None, **kwargs)",
            "fit(self, completions, workdir=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["get_local_path", "parsed_label_config"],
    ),
    (
        1,
        "ImageClassifierAPI",
        &[
            "__init__(self, freeze_extractor=None, **kwargs)",
            "fit(self, completions, workdir=None, batch_size=None, num_epochs=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["parsed_label_config", "train_output"],
    ),
    (
        1,
        "SimpleTextClassifier",
        &[
            "__init__(self, **kwargs)",
            "fit(self, completions, workdir=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["parsed_label_config", "train_output"],
    ),
    (1, "SubstringMatcher", &["__init__(self, **kwargs)", "predict(self, tasks, **kwargs)"], &[]),
    (
        1,
        "TFMobileNet",
        &[
            "__init__(self, trainable=None, batch_size=None, epochs=None, **kwargs)",
            "fit(self, completions, workdir=None, **kwargs)",
            "predict(self, tasks, **kwargs)",
        ],
        &["parsed_label_config", "train_output"],
    ),
    (
        1,
        "MyModel",
        &["fit(self, tasks, workdir=None, **kwargs)", "predict(self, tasks, **kwargs)"],
        &["train_output"],
    ),
    (
        2,
        "NewModel",
        &[
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["extra_params", "get", "label_config", "parsed_label_config", "project_id", "set"],
    ),
    (
        2,
        "BertClassifier",
        &[
            "setup(self)",
            "fit(self, event, data, **additional_params)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["get", "label_interface", "preload_task_data", "set"],
    ),
    (2, "DeepgramModel", &["setup(self)", "predict(self, tasks, context=None, **kwargs)"], &[]),
    (
        2,
        "Docling",
        &[
            "__init__(self, project_id=None, label_config=None, **kwargs)",
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["get", "set"],
    ),
    (
        2,
        "EasyOCR",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "get_first_tag_occurence", "get_local_path", "label_interface", "set"],
    ),
    (
        2,
        "Flair",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "label_interface", "preload_task_data", "set"],
    ),
    (
        2,
        "GLiNERModel",
        &[
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &[
            "extra_params",
            "get",
            "label_config",
            "label_interface",
            "parsed_label_config",
            "project_id",
            "set",
        ],
    ),
    (
        2,
        "GroundingDINO",
        &[
            "fit(self, event, data, **additional_params)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["get", "get_first_tag_occurence", "get_local_path", "set"],
    ),
    (
        2,
        "DINOBackend",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "get_first_tag_occurence", "get_local_path", "set"],
    ),
    (
        2,
        "HuggingFaceLLM",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "label_interface", "preload_task_data", "set"],
    ),
    (
        2,
        "HuggingFaceNER",
        &[
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["get", "label_interface", "preload_task_data", "set"],
    ),
    (
        2,
        "InteractiveSubstringMatching",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "label_interface", "preload_task_data", "set"],
    ),
    (
        2,
        "LangchainSearchAgent",
        &[
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["get", "get_first_tag_occurence", "parsed_label_config", "preload_task_data", "set"],
    ),
    (
        2,
        "OpenAIInteractive",
        &[
            "setup(self)",
            "fit(self, event, data, **additional_params)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &[
            "bump_model_version",
            "extra_params",
            "get",
            "label_interface",
            "model_version",
            "preload_task_data",
            "set",
        ],
    ),
    (
        2,
        "MMDetection",
        &[
            "__init__(self, image_dir=None, labels_file=None, **kwargs)",
            "setup(self)",
            "predict(self, tasks, **kwargs)",
        ],
        &["get", "get_local_path", "parsed_label_config", "set"],
    ),
    (
        2,
        "NemoASR",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "get_local_path", "label_interface", "set"],
    ),
    (
        2,
        "PPOCR",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "get_first_tag_occurence", "label_interface", "set"],
    ),
    (
        2,
        "NewModel",
        &["predict(self, tasks, context=None, **kwargs)"],
        &["get", "get_first_tag_occurence", "get_local_path"],
    ),
    (
        2,
        "NewModel",
        &["predict(self, tasks, context=None, **kwargs)"],
        &["get_first_tag_occurence", "get_local_path"],
    ),
    (
        2,
        "SamMLBackend",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "get_first_tag_occurence", "get_local_path", "set"],
    ),
    (
        2,
        "SamVideoInteractive",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get_local_path", "label_interface"],
    ),
    (
        2,
        "SklearnTextClassifier",
        &[
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["get", "label_interface", "preload_task_data", "set"],
    ),
    (
        2,
        "SpacyMLBackend",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "label_interface", "preload_task_data", "set"],
    ),
    (
        2,
        "BBOXOCR",
        &["setup(self)", "predict(self, tasks, **kwargs)"],
        &["get", "get_local_path", "label_interface", "set"],
    ),
    (
        2,
        "TimeSeriesSegmenter",
        &[
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["get", "label_config", "label_interface", "preload_task_data", "set"],
    ),
    (
        2,
        "WatsonXModel",
        &["setup(self)", "predict(self, tasks, context=None, **kwargs)"],
        &["get", "label_interface", "model_version", "set"],
    ),
    (
        2,
        "YOLO",
        &[
            "setup(self)",
            "fit(self, event, data, **kwargs)",
            "predict(self, tasks, context=None, **kwargs)",
        ],
        &["label_config", "label_interface", "model_version", "project_id", "set"],
    ),
];

#[test]
fn the_examples_of_the_original_are_of_the_api_that_they_extend() {
    for &(version, name, heads, reads) in EXAMPLES {
        let mut lines: Vec<String> = heads.iter().map(|head| format!("def {head}: pass")).collect();
        let reads: Vec<String> = reads.iter().map(|name| format!("self.{name}")).collect();
        lines.push(format!("def other(self): return [{}]", reads.join(", ")));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (found, reason) = verdict(&class(&lines), &[]);
        assert_eq!(found, version, "{name}: {reason}");
    }
}
