//! Classes of API v1 and v2, and what gives each away.

mod examples;
mod project;

use pyo3::types::PyDict;

use super::*;

/// The verdict about the class `Model` in some code, after a base class like that of this package.
fn verdict(code: &str, init_app: &[&str]) -> (u8, String) {
    Python::initialize();
    Python::attach(|py| {
        let package = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
        py.import("sys")
            .unwrap()
            .getattr("path")
            .unwrap()
            .call_method1("append", (package,))
            .unwrap();
        let globals = PyDict::new(py);
        py.run(
            c"
class Base:
    def __init__(self, **kwargs): self.train_output = {}
    def setup(self): pass
    def fit(self, event, data, **kwargs): return self.label_interface
    def predict(self, tasks, context=None, **kwargs): return self.extra_params
Base.__module__ = 'label_studio_ml.model'
class Helper(Base):
    def fit(self, completions): return self.train_output
Helper.__module__ = 'label_studio_ml.helpers'
",
            Some(&globals),
            None,
        )
        .unwrap();
        globals.set_item("__name__", "a_script_of_nobody").unwrap();
        py.run(&std::ffi::CString::new(code).unwrap(), Some(&globals), None).unwrap();
        let class = globals.get_item("Model").unwrap().unwrap();
        let init_app = init_app.iter().map(|&name| name.to_owned()).collect();
        detect_api_version(class.cast::<PyType>().unwrap(), init_app).unwrap()
    })
}

/// A class with these lines in it.
fn class(lines: &[&str]) -> String {
    let body: String = lines.iter().flat_map(|line| ["    ", line, "\n"]).collect();
    format!("class Model(Base):\n    pass\n{body}")
}

const NOTHING: &str = "nothing in it points to API v1";
const EQUAL: &str = "as much in it points to API v1 as to API v2";
const OPEN: &str = "__init__(**kwargs) without project_id, and no setup()";

#[test]
fn each_piece_of_evidence_alone_is_enough() {
    let cases: &[(&[&str], u8, &str)] = &[
        (&[], 2, NOTHING),
        (&["LABEL_STUDIO_ML_API = 1"], 1, "the class says LABEL_STUDIO_ML_API"),
        (&["LABEL_STUDIO_ML_API = 2"], 2, "the class says LABEL_STUDIO_ML_API"),
        (&["LABEL_STUDIO_ML_API = 3"], 2, NOTHING),
        (&["LABEL_STUDIO_ML_API = '1'"], 2, NOTHING),
        (&["def fit(self, event, data): pass"], 2, "fit(event, data, ...)"),
        (&["def fit(self, event, data, extra=None, **kw): pass"], 2, "fit(event, data, ...)"),
        (&["def fit(self, event, x): pass"], 2, "fit(event, x, ...)"),
        (&["def fit(self, data, event): pass"], 2, NOTHING),
        (&["def fit(self, event): pass"], 2, "fit(event, ...)"),
        (&["def fit(self, action, data): pass"], 2, "fit(action, data, ...)"),
        (&["def fit(self, *, event, data): pass"], 2, "fit(event, data, ...)"),
        (&["def fit(self, *args, event=None, **kw): pass"], 2, NOTHING),
        (&["def fit(self, *args, workdir=None, **kw): pass"], 1, "fit(workdir, ...)"),
        (
            &["def fit(self, annotations=None, workdir=None, event=None): pass"],
            1,
            "fit(annotations, workdir, ...)",
        ),
        (&["def fit(self, **kw): pass"], 2, NOTHING),
        (&["def fit(self, *args, **kw): pass"], 2, NOTHING),
        (&["def fit(self, tasks): pass"], 1, "fit(tasks, ...)"),
        (&["def fit(self, completions, workdir=None): pass"], 1, "fit(completions, workdir, ...)"),
        (&["def fit(self, x, y, workdir): pass"], 1, "fit(x, y, ...)"),
        (&["def fit(self, x, tasks): pass"], 2, NOTHING),
        (&["def __init__(self, project_id=None, **kw): pass"], 2, "__init__ takes project_id"),
        (&["def __init__(self, train_output=None): pass"], 1, "__init__ takes train_output"),
        (&["def setup(self): pass"], 2, "it overrides setup(self)"),
        (&["def setup(self, x): pass"], 2, NOTHING),
        (&["def setup(self, x=1): pass"], 2, "it overrides setup(self)"),
        (&["def predict(self, tasks): return self.train_output"], 1, "it uses self.train_output"),
        (&["def predict(self, tasks): return self.extra_params"], 2, "it uses self.extra_params"),
        (&["def predict(self, tasks, context=None): pass"], 2, "predict(..., context, ...)"),
        (&["def predict(self, tasks, **context): pass"], 2, NOTHING),
        (
            &["def __init__(self, **kw): pass"],
            1,
            "__init__(**kwargs) without project_id, and no setup()",
        ),
        (&["def __init__(self, x=1): pass"], 2, NOTHING),
        (&["def __init__(self, *args): pass"], 2, NOTHING),
        (&["def __init__(self, **kw): pass", "def setup(self, x): pass"], 2, NOTHING),
    ];
    for &(lines, version, reason) in cases {
        assert_eq!(verdict(&class(lines), &[]), (version, reason.to_owned()), "{lines:?}");
    }
}

#[test]
fn arguments_of_init_app_are_evidence_where_nothing_harder_is() {
    const REASON: &str = "its _wsgi.py passes model_dir or redis_… to init_app";
    for name in ["model_dir", "redis_queue", "redis_host", "redis_port"] {
        assert_eq!(verdict(&class(&[]), &[name]), (1, REASON.into()), "{name}");
        assert_eq!(verdict(&class(&[]), &["model_class", name]), (1, REASON.into()));
    }
    for name in ["model_class", "basic_auth_user", "model"] {
        assert_eq!(verdict(&class(&[]), &[name]), (2, NOTHING.into()), "{name}");
    }
    for (line, version, reason) in [
        ("LABEL_STUDIO_ML_API = 2", 2, "the class says LABEL_STUDIO_ML_API"),
        ("def fit(self, event, data): pass", 2, "fit(event, data, ...)"),
        ("def __init__(self, project_id): pass", 2, "__init__ takes project_id"),
        ("def __init__(self, train_output): pass", 1, "__init__ takes train_output"),
        ("def setup(self): pass", 1, REASON),
        ("def predict(self, tasks, context): return self.extra_params", 1, REASON),
    ] {
        let found = verdict(&class(&[line]), &["model_dir"]);
        assert_eq!(found, (version, reason.into()), "{line}");
    }
}

#[test]
fn harder_evidence_goes_before_softer() {
    let cases: [(&[&str], u8, &str); 9] = [
        (
            &["LABEL_STUDIO_ML_API = 1", "def fit(self, event, data): pass"],
            1,
            "the class says LABEL_STUDIO_ML_API",
        ),
        (
            &[
                "def fit(self, event, data, workdir=None): pass",
                "def __init__(self, train_output): pass",
            ],
            2,
            "fit(event, data, ...)",
        ),
        (
            &[
                "def __init__(self, project_id, train_output=None): pass",
                "def fit(self, tasks): pass",
            ],
            2,
            "__init__ takes project_id",
        ),
        (
            &["def fit(self, tasks): pass", "def __init__(self, train_output): pass"],
            1,
            "fit(tasks, ...)",
        ),
        (
            &["def __init__(self, train_output): pass", "def setup(self): pass"],
            1,
            "__init__ takes train_output",
        ),
        (
            &["def setup(self): pass", "def predict(self, tasks): self.label_interface"],
            2,
            "it uses self.label_interface",
        ),
        (
            &["def setup(self): pass", "def predict(self, tasks): self.train_output"],
            1,
            "it uses self.train_output",
        ),
        // What speaks for both says nothing.
        (&["def predict(self, tasks): return self.train_output, self.extra_params"], 2, EQUAL),
        (
            &["def predict(self, tasks, context): return self.train_output"],
            1,
            "it uses self.train_output",
        ),
    ];
    for (lines, version, reason) in cases {
        assert_eq!(verdict(&class(lines), &[]), (version, reason.to_owned()), "{lines:?}");
    }
}

#[test]
fn names_count_wherever_they_are_used_and_not_where_the_class_makes_them_itself() {
    let uses = |reason: &str| (2, format!("it uses self.{reason}"));
    for (name, version, _) in NAMES {
        let line = format!("def predict(self, tasks): return self.{name}");
        let reason = format!("it uses self.{name}");
        assert_eq!(verdict(&class(&[&line]), &[]), (version.into(), reason));
    }
    for (lines, expected) in [
        // Inside a function within.
        (&["def predict(self, tasks): return [lambda: self.extra_params for _ in tasks]"][..], {
            uses("extra_params")
        }),
        (&["@staticmethod", "def other(model): return model.extra_params"], uses("extra_params")),
        (&["@classmethod", "def other(cls): return cls.extra_params"], uses("extra_params")),
        // Its own.
        (
            &["def extra_params(self): pass", "def predict(self, tasks): return self.extra_params"],
            (2, NOTHING.to_owned()),
        ),
        (
            &[
                "def load(self): self.train_output = 1",
                "def predict(self, tasks): return self.train_output",
            ],
            (2, NOTHING.to_owned()),
        ),
        (
            &[
                "def load(self):",
                "    def inner(): self.train_output = 1",
                "    return inner",
                "def predict(self, tasks): return self.train_output",
            ],
            (2, NOTHING.to_owned()),
        ),
        (
            &[
                "def load(self): return lambda: setattr(self, 'x', 1)",
                "def predict(self, tasks): return self.train_output",
            ],
            (1, "it uses self.train_output".to_owned()),
        ),
    ] {
        assert_eq!(verdict(&class(lines), &[]), expected, "{lines:?}");
    }
}

#[test]
fn evidence_is_inherited_but_not_from_this_package() {
    let between = "class Between(Base):\n    def fit(self, tasks): pass\n";
    let of_between = format!("{between}class Model(Between): pass\n");
    assert_eq!(verdict(&of_between, &[]), (1, "fit(tasks, ...)".into()));
    let overridden =
        format!("{between}class Model(Between):\n    def fit(self, event, data): pass\n");
    assert_eq!(verdict(&overridden, &[]), (2, "fit(event, data, ...)".into()));
    let helper = "class Model(Helper): pass\n";
    let reason = "it extends a class of label_studio_ml.helpers";
    assert_eq!(verdict(helper, &[]), (1, reason.into()));
    let mixed = "class Mixin:\n    def setup(self): pass\nclass Model(Mixin, Base): pass\n";
    assert_eq!(verdict(mixed, &[]), (2, "it overrides setup(self)".into()));
    let decorated = "import functools\ndef wrap(f):\n    @functools.wraps(f)\n    def w(*a, **k): return f(*a, **k)\n    return w\nclass Model(Base):\n    @wrap\n    def fit(self, tasks): pass\n";
    assert_eq!(verdict(decorated, &[]), (1, "fit(tasks, ...)".into()));
}

#[test]
fn a_module_that_uses_the_response_class_of_the_newer_one_is_newer() {
    let code = "import sys, types\nmodule = types.ModuleType('script_with_response')\nmodule.ModelResponse = 1\nsys.modules['script_with_response'] = module\nclass Model(Base):\n    def __init__(self, **kw): pass\nModel.__module__ = 'script_with_response'\n";
    assert_eq!(verdict(code, &[]), (2, "its module uses ModelResponse".into()));
}

#[test]
fn short_names_count_only_on_the_model_itself() {
    for (line, expected) in [
        ("def predict(self, tasks): return self.get('a')", (2, "it uses self.get")),
        ("def predict(this, tasks): return this.has('a')", (2, "it uses self.has")),
        (
            "def predict(self, tasks): return [self.set(t, '') for t in tasks]",
            (2, "it uses self.set"),
        ),
        (
            "def predict(self, tasks): return lambda: self.model_version",
            (2, "it uses self.model_version"),
        ),
        ("def predict(self, tasks): return tasks[0].get('a')", (1, OPEN)),
        ("def predict(self, tasks): return self.client.get('a').has, tasks.project_id", (1, OPEN)),
        ("def predict(self, tasks): self.project_id = 1; return self.project_id", (1, OPEN)),
    ] {
        for constructor in
            ["def __init__(self, **kwargs): pass", "def __init__(self, *args, **kwargs): pass"]
        {
            let found = verdict(&class(&[constructor, line]), &[]);
            assert_eq!(found, (expected.0, expected.1.to_owned()), "{constructor} {line}");
        }
    }
    let own = ["def __init__(self, **kw): pass", "def get(self, key): pass"];
    let reads = "def predict(self, tasks): return self.get('a')";
    assert_eq!(verdict(&class(&[own[0], own[1], reads]), &[]), (1, OPEN.into()));
    let getter =
        ["def __init__(self, **kw): pass", "@property", "def shown(self): return self.project_id"];
    assert_eq!(verdict(&class(&getter), &[]), (2, "it uses self.project_id".into()));
}

#[test]
fn what_a_constructor_reads_and_passes_on_counts() {
    for (body, version, reason) in [
        ("self.p = kwargs['project_id']", 2, "__init__ uses project_id"),
        ("self.p = kwargs.pop('project_id', None)", 2, "__init__ uses project_id"),
        ("super().__init__(project_id=1)", 2, "__init__ uses project_id"),
        ("self.o = kwargs.get('train_output') or {}", 1, "__init__ uses train_output"),
        (
            "self.h, self.t = kwargs['hostname'], kwargs['access_token']",
            1,
            "__init__ uses access_token",
        ),
        ("self.name = 'a project_id and more'", 1, OPEN),
    ] {
        let code = class(&[&format!("def __init__(self, **kwargs): {body}")]);
        assert_eq!(verdict(&code, &[]), (version, reason.to_owned()), "{body}");
    }
}

#[test]
fn the_heavier_side_wins() {
    let both = |of_v2: &str| {
        class(&[
            "def setup(self): pass",
            "def predict(self, tasks, context=None): return self.label_interface",
            of_v2,
        ])
    };
    let reason = "it uses self.label_interface";
    // An old `_wsgi.py` around a class that was ported.
    assert_eq!(verdict(&both(""), &["model_dir"]), (2, reason.into()));
    let mixed = both("def other(self): return self.train_output");
    assert_eq!(verdict(&mixed, &[]), (2, reason.into()));
    let reason = "its _wsgi.py passes model_dir or redis_… to init_app";
    assert_eq!(verdict(&mixed, &["model_dir"]), (1, reason.into()));
}
