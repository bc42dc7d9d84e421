"""Which distribution brings a module: that is what pip installs, and it often has another name."""

import functools
import json
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

#: Distributions of packages that are often missing, where the name that is imported is not theirs.
#: Those that are installed are asked instead.
WELL_KNOWN: dict[str, str] = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.generativeai": "google-generativeai",
    "google.oauth2": "google-auth",
    "google.protobuf": "protobuf",
    "imblearn": "imbalanced-learn",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "paddle": "paddlepaddle",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pythoncom": "pywin32",
    "rest_framework": "djangorestframework",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "umap": "umap-learn",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "whisper": "openai-whisper",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}

#: Packages that are often missing and are distributed under the name that is imported.
SAME_NAME = frozenset(
    [
        "accelerate",
        "anthropic",
        "boto3",
        "catboost",
        "datasets",
        "easyocr",
        "einops",
        "fastapi",
        "fasttext",
        "flask",
        "gensim",
        "httpx",
        "huggingface_hub",
        "jax",
        "joblib",
        "keras",
        "langchain",
        "librosa",
        "lightgbm",
        "lightning",
        "matplotlib",
        "mlflow",
        "nltk",
        "numpy",
        "onnx",
        "onnxruntime",
        "openai",
        "pandas",
        "peft",
        "polars",
        "pyarrow",
        "pydantic",
        "pytesseract",
        "pytorch_lightning",
        "redis",
        "requests",
        "rq",
        "safetensors",
        "scipy",
        "seaborn",
        "sentence_transformers",
        "sentencepiece",
        "shapely",
        "soundfile",
        "spacy",
        "statsmodels",
        "tensorflow",
        "tiktoken",
        "timm",
        "tokenizers",
        "torch",
        "torchaudio",
        "torchmetrics",
        "torchvision",
        "tqdm",
        "transformers",
        "ultralytics",
        "xgboost",
    ]
)

#: Names that many distributions have in common.
_SHARED = {"azure", "google"}
#: From how many parts on a name of these is that of a distribution.
_SHARED_PARTS = {"azure": 2, "google": 3}


def of_module(names: tuple[str, ...]) -> metadata.Distribution | None:
    """Return the installed distribution that brings a module, given by its dotted names; None for none.

    Several distributions may share the first part of a name, as `google` does: then the files decide.
    """
    found = _by_top().get(names[0].split(".")[0], ())
    if len(found) <= 1:
        return metadata.distribution(found[0]) if found else None
    # The longest name tells most: `google.cloud.storage` of `from google.cloud import storage`.
    for name in sorted(names, key=len, reverse=True):
        place = name.replace(".", "/")
        for distribution in map(metadata.distribution, found):
            files = (str(file) for file in distribution.files or ())
            if any(file == f"{place}.py" or file.startswith(f"{place}/") for file in files):
                return distribution
    return None


def name_for(names: tuple[str, ...]) -> str:
    """Return the name of the distribution to install for a module that is not installed."""
    longest = max(names, key=len).split(".")
    for length in range(len(longest), 0, -1):
        if known := WELL_KNOWN.get(".".join(longest[:length])):
            return known
    if longest[0] not in _SHARED:
        return longest[0]
    # `google.cloud.storage` is in google-cloud-storage; what is imported from a module is not a part of its name.
    module = names[0].split(".")
    return "-".join((longest if len(module) < _SHARED_PARTS[longest[0]] else module)[:3])


def is_known(names: tuple[str, ...]) -> bool:
    """Tell whether the distribution of a module that is not installed is certain."""
    longest = max(names, key=len).split(".")
    return longest[0] in SAME_NAME or any(
        ".".join(longest[:end]) in WELL_KNOWN for end in range(1, len(longest) + 1)
    )


def canonical(name: str) -> str:
    """Return a name of a distribution in the form in which pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(distribution: metadata.Distribution) -> str | None:
    """Return a line that installs a distribution again, in its version or a later one.

    None for one that no other machine has: it was installed from a folder or a file.
    """
    name = distribution.metadata["Name"]
    origin = _origin(distribution)
    url = str(origin.get("url", ""))
    if vcs := origin.get("vcs_info"):
        return f"{name} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    if origin:
        return None if url.startswith("file:") else f"{name} @ {url}"
    # A bound cannot have the local part of a version, the "+cu121" of a build for a GPU.
    return f"{name}>={distribution.version.partition('+')[0]}"


def _origin(distribution: metadata.Distribution) -> dict[str, Any]:
    """Return what pip notes of a distribution that comes from no index."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) else {}


@functools.cache
def _by_top() -> Mapping[str, list[str]]:
    """Return the distributions by the first part of the names of their modules."""
    found: dict[str, dict[str, None]] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if not name:
            continue
        said = (distribution.read_text("top_level.txt") or "").split()
        # Python 3.10 knows only those that say it.
        for top in said or _tops_of_files(distribution):
            found.setdefault(top, {})[name] = None
    return {top: list(names) for top, names in found.items()}


def _tops_of_files(distribution: metadata.Distribution) -> set[str]:
    tops = set()
    for file in distribution.files or ():
        first, *rest = file.parts
        top = first if rest else first.split(".")[0] if first.endswith((".py", ".so")) else ""
        if top.isidentifier():
            tops.add(top)
    return tops
