"""User code in a worker finds the same environment as a plain script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hosting import PROJECT, Server, make_project, run, wait_for, write_script

Serve = Callable[..., Server]

PRINTING = """
    import logging, os, subprocess, sys
    from label_studio_ml.model import LabelStudioMLBase

    print("printed at import")
    logger = logging.getLogger(__name__)

    class Printing(LabelStudioMLBase):
        def fit(self, tasks, workdir=None, **kwargs):
            print("printed in fit")
            subprocess.run(["echo", "echoed in fit"])
            return {}

        def predict(self, tasks, **kwargs):
            print("printed in predict", end="")
            print(" in two pieces")
            print("an error", file=sys.stderr)
            logger.info("logged with %s", "info")
            logger.warning("logged with warning")
            os.write(1, b"written to the descriptor\\n")
            sys.stdout.buffer.write(b"bytes \\xff\\n")
            sys.stdout.buffer.flush()
            return [{"result": []} for _ in tasks]
"""


def test_output_appears_in_the_log_with_worker_and_project(serve: Serve) -> None:
    server = serve(PRINTING)
    server.wait_logged("printed at import")
    server.predict()
    server.train()
    server.wait_trained()

    def line(text: str) -> str:
        return wait_for(
            lambda: next((line for line in server.log().splitlines() if text in line), None), text
        )

    for text, level in (
        ("printed in predict in two pieces", "INFO"),
        ("an error", "INFO"),
        ("model: logged with info", "INFO"),
        ("model: logged with warning", "WARN"),
    ):
        found = line(text)
        assert level in found
        assert 'worker="1"' in found
        assert f'project="{PROJECT}"' in found
    for text in ("written to the descriptor", "bytes \ufffd"):
        assert 'worker="1"' in line(text)
    for text in ("printed in fit", "echoed in fit"):
        assert 'worker="train"' in line(text)
        assert f'project="{PROJECT}"' in line(text)


def test_a_flood_of_output_is_cut_and_said(serve: Serve) -> None:
    source = PRINTING.replace('print("printed in predict", end="")', "print('flood\\n' * 20000)")
    server = serve(source)
    assert server.predict().status_code == 200
    wait_for(lambda: "lines of output left out" in server.log(), "it says that lines are missing")
    assert server.log().count("flood") < 20_000


POOLS = """
    import asyncio, multiprocessing, subprocess, sys, threading
    from concurrent.futures import ProcessPoolExecutor
    from label_studio_ml.model import LabelStudioMLBase

    local = threading.local()

    def square(x):
        return x * x

    def pooled(method):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            return list(pool.map(square, [1, 2, 3]))

    async def later():
        await asyncio.sleep(0.01)
        return "later"

    def everything():
        return {
            "fork": pooled("fork"),
            "spawn": pooled("spawn"),
            "asyncio": asyncio.run(later()),
            "subprocess": subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True).stdout,
        }

    class Pools(LabelStudioMLBase):
        def fit(self, tasks, workdir=None, **kwargs):
            return everything()

        def predict(self, tasks, **kwargs):
            local.calls = getattr(local, "calls", 0) + 1
            found = everything() if tasks else {}
            return [{"result": [], "calls": local.calls, "trained": self.train_output, **found}]
"""

EVERYTHING = {"fork": [1, 4, 9], "spawn": [1, 4, 9], "asyncio": "later", "subprocess": "7\n"}


def test_pools_and_loops_work_in_predict_and_fit(serve: Serve) -> None:
    server = serve(POOLS)
    seen = server.first()
    assert {name: seen[name] for name in EVERYTHING} == EVERYTHING
    server.train()
    server.wait_trained()
    assert server.first()["trained"] == EVERYTHING


def test_thread_locals_live_as_long_as_their_thread(serve: Serve) -> None:
    server = serve(POOLS, "--threads", "1")
    calls = [server.predict([]).json()["results"][0]["calls"] for _ in range(3)]
    assert calls == [1, 2, 3]


def test_pickles_of_classes_in_the_script_load(serve: Serve) -> None:
    """The original imports a script under its own name, so pickles name that."""
    source = """
        import os, pickle
        from label_studio_ml.model import LabelStudioMLBase
        class Weights:
            value = 3
        class Pickling(LabelStudioMLBase):
            def fit(self, tasks, workdir=None, **kwargs):
                path = os.path.join(workdir, "weights.pkl")
                with open(path, "wb") as file:
                    pickle.dump(Weights(), file)
                return {"path": path, "module": Weights.__module__}
            def predict(self, tasks, **kwargs):
                value = None
                if self.train_output:
                    with open(self.train_output["path"], "rb") as file:
                        value = pickle.load(file).value
                return [{"result": [], "value": value, "output": self.train_output}]
    """
    server = serve(source)
    server.train()
    server.wait_trained()
    seen = server.first()
    assert seen["value"] == 3
    assert seen["output"]["module"] == "model"


def test_siblings_are_found(serve: Serve, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    write_script(scripts, "VALUE = 5\n", "sibling.py")
    source = """
        from label_studio_ml.model import LabelStudioMLBase
        class Model(LabelStudioMLBase):
            def fit(self, tasks, workdir=None, **kwargs): ...
            def predict(self, tasks, **kwargs):
                from sibling import VALUE
                return [{"result": [], "value": VALUE}]
    """
    assert serve(source).first()["value"] == 5


NUMPY = """
    import numpy
    from label_studio_ml.model import LabelStudioMLBase
    class Numbers(LabelStudioMLBase):
        def fit(self, tasks, workdir=None, **kwargs):
            return {"loss": numpy.float32(0.5), "labels": {numpy.int64(1): "a"}}
        def predict(self, tasks, **kwargs):
            return [{
                "result": [], "score": numpy.float32(0.25), "flag": numpy.bool_(True),
                "array": numpy.arange(3), "nan": numpy.nan, "output": self.train_output,
            }]
"""


def test_numpy_results_are_numbers(serve: Serve) -> None:
    pytest.importorskip("numpy")
    server = serve(NUMPY)
    seen = server.first()
    assert (seen["score"], seen["flag"], seen["array"], seen["nan"]) == (
        0.25,
        True,
        [0, 1, 2],
        None,
    )
    server.train()
    server.wait_trained()
    assert server.first()["output"] == {"loss": 0.5, "labels": {"1": "a"}}


def test_a_model_that_needs_nothing_imports_nothing_heavy(serve: Serve) -> None:
    source = """
        import sys
        from label_studio_ml.model import LabelStudioMLBase
        class Light(LabelStudioMLBase):
            def fit(self, tasks, workdir=None, **kwargs): ...
            def predict(self, tasks, **kwargs):
                return [{"result": [], "modules": sorted(sys.modules)}]
    """
    modules = set(serve(source).first()["modules"])
    heavy = {
        "numpy",
        "pandas",
        "flask",
        "requests",
        "PIL",
        "label_studio_sdk",
        "label_studio_tools",
    }
    assert not modules & heavy


def test_a_script_may_bear_the_name_of_a_module_of_ours(serve: Serve, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    source = """
        from label_studio_ml.model import LabelStudioMLBase
        class Api(LabelStudioMLBase):
            def fit(self, tasks, workdir=None, **kwargs): ...
            def predict(self, tasks, **kwargs):
                return [{"result": [], "name": __name__}]
    """
    script = write_script(scripts, source, "utils.py")
    assert run("init", "p", "--script", script, "--root-dir", tmp_path).returncode == 0
    assert serve(tmp_path / "p").first()["name"] == "utils"


def test_a_label_studio_ml_in_the_working_folder_is_not_imported(
    serve: Serve, tmp_path: Path
) -> None:
    """Users start from a clone of the original, which has a folder of that name."""
    write_script(tmp_path / "clone" / "label_studio_ml", "raise SystemExit(1)\n", "__init__.py")
    project = make_project(tmp_path, PRINTING)
    server = serve(project, cwd=tmp_path / "clone")
    assert server.predict().status_code == 200


def test_a_constructor_without_keywords_gets_what_it_names(serve: Serve) -> None:
    source = """
        from label_studio_ml.model import LabelStudioMLBase
        class Strict(LabelStudioMLBase):
            def __init__(self, label_config=None, train_output=None):
                super().__init__(label_config=label_config, train_output=train_output)
            def predict(self, tasks, **kwargs):
                return [{"result": [], "names": list(self.parsed_label_config)}]
    """
    server = serve(source)
    assert server.setup().status_code == 200
    assert server.first()["names"] == ["sentiment"]


SLOW_LOAD = """
    import os, pathlib, time
    from label_studio_ml.model import LabelStudioMLBase
    class Slow(LabelStudioMLBase):
        made = 0
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            type(self).made += 1
            while not (pathlib.Path(os.environ["MODEL_DIR"]) / "go").exists():
                time.sleep(0.01)
        def predict(self, tasks, **kwargs):
            return [{"result": [], "made": self.made}]
"""


def test_setup_does_not_wait_for_a_slow_load_and_loads_once(serve: Serve) -> None:
    """Label Studio gives up on /setup after 3 s, and asks again and again."""
    server = serve(SLOW_LOAD, "--setup-timeout", "0.2")
    setup, health = [], []
    for _ in range(4):
        answer = server.setup()
        assert answer.json() == {"model_version": "INITIAL"}
        setup.append(answer.elapsed.total_seconds())
        health.append(server.get("/health").elapsed.total_seconds())
    # Other programs may delay one of them, but hardly all.
    assert min(setup) < 2
    assert min(health) < 1
    (server.models / "go").touch()
    assert server.first()["made"] == 1
    assert server.setup(force_reload=True).status_code == 200
    assert server.first()["made"] == 2
