"""The command line. Everything slow to import is imported by the command that needs it."""

import argparse
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path

from syncjob.core.errors import SyncjobError
from syncjob.logs import catch_all, configure_logging
from syncjob.report import Report
from syncjob.settings import SECRET, Settings, load


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command; its exit code (DESIGN, section 8)."""
    environ = os.environ if environ is None else environ
    args = _parsed(argv, environ)
    stop = threading.Event()
    caught = _stop_on_signals(stop)
    try:
        code = COMMANDS[args.command](args, environ, stop)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 128 + caught[0] if caught and args.command != "run" else code


def _parsed(argv: Sequence[str] | None, environ: Mapping[str, str]) -> argparse.Namespace:
    """The command line. What is wrong with it is told without any key that may have been put there by mistake."""
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            return _parser().parse_args(argv)
    except SystemExit:
        Report(secrets=[value for name, value in environ.items() if name.endswith(SECRET) and value]).record(told.getvalue().rstrip())
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="syncjob", description="Keeps a database equal to Teamwork and Missive, by polling alone.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    once = commands.add_parser("once", help="poll, sync and deliver until nothing is due, then exit (for cron)")
    once.add_argument("--full-resync", action="store_true", help="read every record again")
    once.add_argument("--sweep", action="store_true", help="look for what changed or went without a sign, now")
    once.add_argument("--allow-deletes", action="store_true", help="sweep, and delete what is proven to be gone, however much")
    once.add_argument("--new-identity", action="store_true", help="accept that a key now belongs to another user; goes with --full-resync")
    _add_parts(once)
    _add_output(once)

    run = commands.add_parser("run", help="stay up and sync at every POLL_INTERVAL_SECONDS")
    run.add_argument("--health", metavar="[HOST:]PORT", help="answer /healthz and /metrics there (default host: loopback)")
    run.add_argument("--hints", metavar="[HOST:]PORT", help="take webhooks of Teamwork and Missive there, which say: poll now")
    run.add_argument("--insecure-hints", action="store_true", help="take unsigned ones, too; on loopback only")
    run.add_argument("--tunnel", choices=("ngrok",), help="start your ngrok, and print the addresses to paste into Teamwork and Missive")
    _add_parts(run)

    status = commands.add_parser("status", help="how far everything is; asks nobody")
    status.add_argument("--json", action="store_true", help="print one JSON document")
    status.add_argument("--max-age", type=_seconds, metavar="15m", help="exit 3 if anything is further behind than this, or ill otherwise")

    commands.add_parser("check", help="whether a run would find all that it needs; changes nothing")
    verify = commands.add_parser("verify", help="compare every row of the destinations with the mirror; changes nothing")
    verify.add_argument("--repair", action="store_true", help="make right what differs, and nothing else")
    _add_destinations(verify)
    verify.add_argument("--json", action="store_true", help="print one JSON document")

    replay = commands.add_parser("replay", help="deliver every row again, as the mirror has it")
    _add_destinations(replay, required=True)

    init = commands.add_parser("init", help="make the tables and fields that are missing in Airtable; harmless when repeated")
    init.add_argument("destination", choices=("airtable",))

    _add_dead(commands.add_parser("dead", help="records that could not be read, or were refused"))

    demo = commands.add_parser("demo", help="see the whole job run against a sandbox: no account, no key")
    demo.add_argument(
        "--state", type=Path, default=None, metavar="FOLDER", help="keep the demo's data here (default: a new temporary folder)"
    )
    demo.add_argument("--destination", choices=("sqlite", "airtable"), default="sqlite", help="where to write (default: sqlite)")

    sandbox = commands.add_parser("sandbox", help="Teamwork, Missive and Airtable on this machine, to try settings on")
    for flag, default in (("--port", 8765), ("--seed", 1), ("--tasks", 200), ("--conversations", 100)):
        sandbox.add_argument(flag, type=int, default=default, help=f"(default: {default})")
    return parser


def _add_dead(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="all of them, and why").add_argument("--json", action="store_true", help="print one JSON document")
    show = verbs.add_parser("show", help="one, with the types and lengths of its values")
    show.add_argument("--raw", action="store_true", help="with the values themselves")
    retry = verbs.add_parser("retry", help="deliver them again to the destination that refused them")
    for verb in (show, verbs.add_parser("drop", help="forget one")):
        verb.add_argument("part", metavar="PART", help="the source or destination")
        verb.add_argument("key", metavar="KEY", help="as in `dead list`")
    retry.add_argument("part", nargs="?", metavar="DESTINATION", help="only of this destination")
    retry.add_argument("key", nargs="?", metavar="KEY", help="only this one")


def _seconds(text: str) -> float:
    """A length of time like 90, 90s, 15m, 6h or 2d."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time like 15m")
    return float(int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]])


def _add_parts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", action="append", default=[], choices=("teamwork", "missive"), help="only this source; may be repeated")
    _add_destinations(parser)


def _add_destinations(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--destination", action="append", default=[], metavar="NAME", required=required, help="only this destination; may be repeated"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print exactly one JSON document on standard output")
    parser.add_argument("--quiet", action="store_true", help="print only what a person must act on")


def _once(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob.build import Choices
        from syncjob.health import beat
        from syncjob.once import run_once

        choices = Choices(
            full=args.full_resync,
            sweep=args.sweep,
            allow_deletes=args.allow_deletes,
            new_identity=args.new_identity,
            sources=tuple(args.source),
            destinations=tuple(args.destination),
        )
        ran = run_once(settings, choices, report, stop)
        if ran.exit == 0 and not stop.is_set():
            beat(settings)
        if args.json:
            report.document(ran.document)
        return ran.exit

    return _with_settings(work, environ, quiet=args.quiet, as_json=args.json)


def _run(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob.build import Choices
        from syncjob.scheduler import Doors, run_forever

        choices = Choices(sources=tuple(args.source), destinations=tuple(args.destination))
        doors = Doors(args.health, args.hints, insecure=args.insecure_hints, tunnel=bool(args.tunnel))
        return run_forever(settings, choices, report, stop, doors, environ)

    return _with_settings(work, environ, as_log=True)


def _status(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob.status import ills, show, standing

        found = standing(settings)
        told = ills(found, settings, args.max_age) if args.max_age else []
        report.document({**found, "ills": told} if args.max_age else found) if args.json else show(found, report)
        for ill in told:
            report.problem("status", SyncjobError(ill))
        return 3 if told else 0

    return _with_settings(work, environ, as_json=args.json, need_source=False)


def _check(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob.check import run_check

        return run_check(settings, report, stop)

    return _with_settings(work, environ)


def _verify(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob.prove import run_verify

        document = run_verify(settings, args.destination, report, stop, repair=args.repair)
        if args.json:
            report.document(document)
        return int(document["exit"])

    return _with_settings(work, environ, as_json=args.json, need_source=False)


def _replay(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob.prove import run_replay

        return run_replay(settings, args.destination, report, stop)

    return _with_settings(work, environ, need_source=False)


def _init(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob.init import run_init

        run_init(settings, report, stop)
        return 0

    return _with_settings(work, environ, need_source=False)


def _dead(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    def work(settings: Settings, report: Report) -> int:
        from syncjob import dead

        match args.verb:
            case "list":
                found = dead.listed(settings)
                report.document(found) if args.json else dead.show_list(found, report)
            case "show":
                dead.show(settings, args.part, args.key, raw=args.raw, report=report)
            case "retry":
                return dead.retry(settings, args.part, args.key, report, stop)
            case "drop":
                dead.drop(settings, args.part, args.key, report)
        return 0

    return _with_settings(work, environ, as_json=getattr(args, "json", False), need_source=False)


def _demo(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    from syncjob.demo import run_demo

    return run_demo(args.state, Report(), stop, args.destination)


def _sandbox(args: argparse.Namespace, environ: Mapping[str, str], stop: threading.Event) -> int:
    from syncjob.sandbox import serve

    serve(args.port, args.seed, args.tasks, args.conversations, until=stop.wait)
    return 0


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Mapping[str, str], threading.Event], int]] = {
    "once": _once, "run": _run, "status": _status, "check": _check, "dead": _dead, "verify": _verify, "replay": _replay,
    "init": _init, "demo": _demo, "sandbox": _sandbox,
}  # fmt: skip


def _with_settings(
    work: Callable[[Settings, Report], int],
    environ: Mapping[str, str],
    *,
    quiet: bool = False,
    as_json: bool = False,
    as_log: bool = False,
    need_source: bool = True,
) -> int:
    """Load the settings and do the work; tell what went wrong, as text and, if asked for, as the one JSON document."""
    report = Report(quiet=quiet, as_json=as_json)
    try:
        settings = load(environ, cwd=Path.cwd(), need_source=need_source)
        report = Report(secrets=settings.secrets(), quiet=quiet, as_json=as_json, as_log=as_log)
        configure_logging(report, level=settings.log_level, form=settings.log_format, file=settings.log_path, everything=as_log)
        catch_all(report)
        return report.step("syncjob", lambda: work(settings, report))
    except SyncjobError as error:
        report.problem("syncjob", error)
        if as_json:
            report.document({"version": 1, "exit": error.exit, "error": error.message, "hint": error.hint})
        return error.exit


def _stop_on_signals(stop: threading.Event) -> list[int]:
    """Let SIGTERM and SIGINT stop the work at its next durable point; the list gets the signal's number."""
    caught: list[int] = []

    def on_signal(number: int, frame: object) -> None:
        caught.append(number)
        stop.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
    return caught
