# SPDX-License-Identifier: BSD-3-Clause
"""Commands, their exit codes, and words for errors."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf._command_line._complete import complete
from sklearn_gmmcf._command_line._files import Teller, WrongUsage
from sklearn_gmmcf._command_line._options import make_parsers
from sklearn_gmmcf._command_line._recommend import recommend

_COMMANDS = {"complete": complete, "recommend": recommend}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit code."""
    parser, parsers = make_parsers()
    options = parser.parse_args(arguments)
    teller = Teller(options.quiet)
    if hasattr(sys.stdout, "reconfigure"):  # names that a terminal cannot show
        sys.stdout.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            # Iterations that are left would hardly change a list.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.showwarning = _make_showwarning(teller)
            _COMMANDS[options.command](options, teller)
            sys.stdout.flush()
    except WrongUsage as error:
        parsers[options.command].error(str(error))
    except BrokenPipeError:  # by "| head"; the interpreter would flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(teller, f"{error.filename or 'A file'}: {error.strerror}.")
    except ValueError as error:
        return _fail(teller, _translate(str(error)))
    except KeyboardInterrupt:
        teller.progress("")
        return 130
    return 0


def _fail(teller: Teller, text: str) -> int:
    teller.progress("")
    print(f"error: {text}", file=sys.stderr)
    return 1


def _translate(text: str) -> str:
    """Ways out by parameters of the library, by the names of options."""
    for parameter, option in [
        ("pass header=False", "pass --no-header"),
        ("pass header=True", "leave out --no-header"),
        ("or header=True", "or leave out --no-header"),
        ("header=True takes", "without --no-header the command takes"),
        ("columns=(...)", "--columns"),
        ("delimiter=", "--sep "),
        ("encoding=", "--encoding "),
        (
            "out_of_range='missing'; pass 'clip' to",
            "--out-of-range missing; pass clip to",
        ),
        ("rating_range=", "--scale "),
        ("rating_range", "--scale"),
        ("n_components=", "--n-components "),
        ("n_components", "--n-components"),
    ]:
        text = text.replace(parameter, option)
    return text


def _make_showwarning(teller: Teller) -> Callable[..., None]:
    def showwarning(message: Warning | str, *details: Any, **more: Any) -> None:
        teller.warn(str(message))

    return showwarning
