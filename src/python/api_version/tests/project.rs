//! What the module of a class imports, and what its project requires.

use super::{OPEN, verdict};

/// The verdict about a class whose module and project are files.
fn verdict_of_files(script: &str, files: &[(&str, &str)]) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().join("model.py");
    std::fs::write(&path, script).unwrap();
    let name = format!("script_{}", folder.path().file_name().unwrap().to_str().unwrap());
    let name = name.replace('.', "_");
    let code = format!(
        "import sys, types\nmodule = types.ModuleType('{name}')\nmodule.__file__ = '{}'\n\
         sys.modules['{name}'] = module\nclass Model(Base):\n    def __init__(self, **kw): pass\n\
         Model.__module__ = '{name}'\n",
        path.display()
    );
    verdict(&code, &[])
}

#[test]
fn imports_of_names_that_one_api_has_count() {
    for (line, version, name) in [
        (
            "from label_studio_ml.response import ModelResponse",
            2,
            "label_studio_ml.response.ModelResponse",
        ),
        ("import label_studio_ml.response", 2, "label_studio_ml.response"),
        ("from label_studio_ml.model import CACHE", 2, "label_studio_ml.model.CACHE"),
        (
            "from label_studio_sdk.label_interface import LabelInterface",
            2,
            "label_studio_sdk.label_interface.LabelInterface",
        ),
        ("from label_studio_sdk import LabelStudio", 2, "label_studio_sdk.LabelStudio"),
        (
            "def f():\n    from label_studio_sdk.converter import brush",
            2,
            "label_studio_sdk.converter.brush",
        ),
        ("from label_studio_ml.utils import match_labels", 2, "label_studio_ml.utils.match_labels"),
        ("from label_studio_ml.model import JobManager", 1, "label_studio_ml.model.JobManager"),
    ] {
        let found = verdict_of_files(line, &[]);
        assert_eq!(found, (version, format!("its module imports {name}")), "{line}");
    }
    // As heavy as the constructor, which stands in front.
    let found = verdict_of_files("from label_studio_ml.utils import get_single_tag_keys", &[]);
    assert_eq!(found.0, 1);
    // Where there are further classes, what this one uses.
    let others = "from label_studio_ml.model import CACHE\nclass A(X): pass\nclass B(Y): pass\n";
    assert_eq!(verdict_of_files(others, &[]), (1, OPEN.into()));
    for line in [
        "import label_studio_sdk",
        "from label_studio_sdk import Client",
        "from label_studio_ml.utils import get_image_size, DATA_UNDEFINED_NAME",
        "from .response import ModelResponse",
        "from label_studio_ml.responses import x",
        "this is not Python",
    ] {
        assert_eq!(verdict_of_files(line, &[]), (1, OPEN.into()), "{line}");
    }
}

#[test]
fn requirements_of_a_release_with_one_api_count() {
    for (line, version, shown) in [
        ("label-studio-ml==1.0.9", 1, "label-studio-ml==1.0.9"),
        ("Label_Studio.ML[redis] ~= 1.0 ; python_version > '3'", 1, "Label_Studio.ML[redis]~=1.0"),
        ("label-studio-ml>=1.0.4,<2", 1, "label-studio-ml>=1.0.4,<2"),
        ("label-studio-ml<2.0", 1, "label-studio-ml<2.0"),
        ("label-studio-ml==2.0.1.dev0", 2, "label-studio-ml==2.0.1.dev0"),
        ("label_studio_ml-1.0.9-py3-none-any.whl", 1, "label_studio_ml-1.0.9"),
        (
            "git+https://github.com/heartexlabs/label-studio-ml-backend.git@1.0.4#egg=x",
            1,
            "label-studio-ml-backend.git@1.0.4",
        ),
    ] {
        let expected = (version, format!("its project requires {shown} (requirements.txt)"));
        let found = verdict_of_files("", &[("requirements.txt", line)]);
        assert_eq!(found, expected, "{line}");
    }
    for (file, text) in [
        ("requirements-base.txt", "numpy\nlabel-studio-ml == 2.*\n"),
        ("setup.py", "setup(install_requires=['numpy', 'label-studio-ml==2.0.0'])"),
        ("setup.cfg", "[options]\ninstall_requires =\n    label-studio-ml==2.0\n"),
        ("pyproject.toml", "[project]\ndependencies = [\"label-studio-ml==2.0\"]"),
        ("pyproject.toml", "[tool.poetry.dependencies]\nlabel-studio-ml = \"^2.0\""),
        ("Pipfile", "[packages]\nlabel-studio-ml = {version = \"==2.0\"}"),
    ] {
        let found = verdict_of_files("", &[(file, text)]);
        assert_eq!(found.0, 2, "{file}: {text}: {found:?}");
    }
    for line in [
        "label-studio-ml",
        "label-studio-ml>=1.0.9",
        "label-studio-ml==3.0.0",
        "label-studio-sdk==2.0.1",
        "label-studio-ml-extras==2.0",
        "# label-studio-ml==2.0",
        "# label-studio-ml is installed already: label-studio-ml==2.0",
        "label-studio-ml @ git+https://github.com/HumanSignal/label-studio-ml-backend.git@master",
        "",
    ] {
        let found = verdict_of_files("", &[("requirements.txt", line)]);
        assert_eq!(found, (1, OPEN.into()), "{line}");
    }
}
