"""Contributions of groups through pyDVL: ``python benchmarks/valuation_peer.py FILE``, by any interpreter that has it.

``FILE`` is what :mod:`benchmarks.valuation` laid down: rows of several institutions, all of which pyDVL sees. This script imports
nothing of the project, whose dependency pyDVL is not, and prints version, values and processor seconds as one JSON object.
"""

import importlib.metadata
import json
import sys
import time
import warnings


def regression(file: str) -> dict[str, object]:
    """Exact Shapley value of each group for the R squared of least squares on rows held out; the empty coalition's is 0."""
    import numpy as np
    from pydvl.valuation import Dataset, GroupedDataset, ModelUtility, NoStopping, ShapleyValuation, SupervisedScorer
    from pydvl.valuation.samplers import DeterministicUniformSampler, FiniteSequentialIndexIteration
    from sklearn.linear_model import LinearRegression

    rows = np.load(file)
    train = GroupedDataset(rows["x"], rows["y"], data_groups=rows["groups"].tolist())
    scorer = SupervisedScorer("r2", Dataset(rows["x_held"], rows["y_held"]), default=0.0)
    model = LinearRegression(fit_intercept=False)  # a column of ones stands for it
    # without its cache: that spares no fit here and costs more than none
    utility = ModelUtility(model, scorer)
    sampler = DeterministicUniformSampler(index_iteration=FiniteSequentialIndexIteration)
    cpu, clock = time.process_time(), time.perf_counter()
    valuation = ShapleyValuation(utility, sampler, is_done=NoStopping(sampler), progress=False).fit(train)
    spent = {"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}
    return {"values": [float(value) for value in valuation.result.values], **spent}


def main() -> None:
    warnings.simplefilter("ignore")
    try:
        told = regression(sys.argv[1])
    except ImportError as missing:
        print(json.dumps({"missing": missing.name}))
        return
    print(json.dumps({"version": importlib.metadata.version("pyDVL"), **told}))


if __name__ == "__main__":
    main()
