"""The model, from a table to a service: `uv run model --help`."""

from argparse import ArgumentParser

from model import data, evaluate
from serving.commands import add_commands
from serving.rows.errors import keep_going, run_stage


def main() -> None:
    """Run one command: the stages of dvc.yaml, and those of the service."""
    keep_going()  # also through `--help | head`
    parser = ArgumentParser("model", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def stage(name: str, text: str) -> ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    stage("validate", "check data/table.csv against schema.yaml and write the typed table").set_defaults(
        run=data.validate
    )
    stage("split", "set rows aside that judge every model and train none").set_defaults(run=data.split)
    stage("train", "fit the pipeline of params.yaml and write it to build/model.bin").set_defaults(run=_train)
    add = stage("evaluate", "score rows with build/model.bin; without options also write metrics.json and plots/")
    evaluate.add_options(add)
    add.set_defaults(run=evaluate.evaluate)
    add_commands(commands)
    options = vars(parser.parse_args())
    command = options.pop("run")
    run_stage(lambda: command(**options))


def _train() -> None:
    from model.train import train  # slow to import, and the other commands do without

    train()


if __name__ == "__main__":
    main()
