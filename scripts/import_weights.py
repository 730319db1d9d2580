"""python scripts/import_weights.py weights=FOLDER_OR_FILE [data.root=...]: published weights as a run folder."""

from difflab.runs import run


def as_training(arguments: list[str]) -> list[str]:
    """The command line with what the weights say; imported late, for --help needs no torch."""
    from difflab.interop.importing import as_training

    return as_training(arguments)


if __name__ == "__main__":
    run("import_weights", "difflab.interop.importing", owns_folder=True, rewrite=as_training)
