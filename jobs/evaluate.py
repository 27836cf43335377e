"""Measure encoders on labelled singing: `evaluation/`, and `evaluation_report/evaluation.html`."""

import sys

from jobs import engine
from pipeline.config import Config
from pipeline.evaluate import embedding, measure, page, plan, vectors


def work(config: Config, run: engine.Run) -> None:
    """Measure encoders on labelled singing: similarity, identification, robustness, clusters, scores."""
    planned = plan.make(config, run.workspace)
    for name, why in planned.unavailable.items():
        run.say(f"{name}: {why}")
    for chosen in planned.sets:
        todo = vectors.pending(run.workspace, chosen.keyed, planned.encoder_ids, chosen.conditions, config.evaluate)
        run.say(f"{chosen.config.name}: embedding")
        run.map(
            embedding.Embedding,
            todo,
            config.evaluate.compute,
            skipped=len(chosen.keyed) - len(todo),
            arguments=(config.workspace, config.evaluate, planned.sources),
        )
    results = measure.measure(config, run.workspace, planned, run.say)
    print(page.write(config, run.workspace, planned, results), flush=True)
    run.note = f"{len(results.rows)} measures; see {run.workspace.uri(page.FOLDER)}/evaluation.html"


STAGE = engine.Stage(
    name="evaluate",
    about="Measure encoders on labelled singing: similarity, identification, robustness, clusters, scores.",
    work=work,
    check=lambda config: engine.extra("matplotlib", "evaluate"),
    unit="recording",
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
