r"""One module a command, imported only when its command is asked for.

A command's module has two functions, and `edge_ser.cli.COMMANDS` has one line for it::

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.description = "What it does, in a sentence or two."
        parser.epilog = "examples:\n  edge-ser NAME FILE    what that does\n"
        parser.add_argument(...)

    def run(args: argparse.Namespace) -> int:
        ...  # 0 done, 1 a check or a budget failed; EdgeSerError for bad use or bad input

Data goes to standard output, words for people to standard error.
"""
