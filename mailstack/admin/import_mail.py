"""``mailstack import``: people move here from another server, and no mail program fetches everything again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from attrs import evolve

from mailstack.admin import import_maildir, import_pop3, import_uidls
from mailstack.admin.import_place import Place, account, warn_of_expiry
from mailstack.admin.import_run import Tally, sentences
from mailstack.admin.output import clean, json_out
from mailstack.admin.password import in_file, on_stdin, password
from mailstack.admin.site import Failed, Site
from mailstack.maildir import folders

_FINGERPRINT = 64  # hex digits of SHA-256


class Sources(click.Group):
    """``import pop3://…`` is the command ``pop3`` with that address; its name alone would say nothing more."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0].startswith(tuple(f"{scheme}://" for scheme in import_pop3.PORTS)):
            return "pop3", self.commands["pop3"], args
        if args[0] not in self.commands:
            raise click.UsageError(
                f"{clean(args[0])!r} is no source: pop3://USER@HOST, pop3s://USER@HOST, or maildir PATH"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Sources"):
            formatter.write_dl(
                [
                    ("pop3://USER@HOST[:PORT] ACCOUNT", "a mailbox on another server, with STLS"),
                    ("pop3s://USER@HOST[:PORT] ACCOUNT", "the same, with TLS from the first octet"),
                    ("maildir PATH ACCOUNT", "a Maildir of another server, with its sub-folders"),
                ]
            )


@click.group("import", cls=Sources, subcommand_metavar="SOURCE ACCOUNT [OPTIONS]")
def import_() -> None:
    """Bring mail from another server, and its unique-ids.

    Mail programs go by unique-ids (UIDL) to know what they have fetched, so they fetch nothing twice. Nothing is
    removed at the source. The server may run meanwhile. An import that was stopped or broke off goes on when the same
    command is given again; a later one brings only what is new.
    """


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Options of all sources."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a folder: what came of it."),
        click.option("--again", is_flag=True, help="Also what was imported before and is not in the mailbox any more."),
        click.option("--dry-run", is_flag=True, help="Say how much there is to import, and import nothing."),
    ):
        command = option(command)
    return command


@import_.command("pop3", short_help="A mailbox on another server, by POP3.")
@click.argument("source", metavar="pop3://USER@HOST[:PORT]")
@click.argument("address", metavar="ACCOUNT")
@click.option(
    "--folder", metavar="NAME", default="", help="Into this folder, such as Junk, and not the mailbox itself."
)
@in_file
@on_stdin
@click.option(
    "--tls-fingerprint", metavar="HEX", default="", help="Believe the certificate with this SHA-256, whoever made it."
)
@click.option(
    "--insecure-plaintext", is_flag=True, help="Without TLS, if the server has none: everybody on the way can read."
)
@click.option("--by-content", is_flag=True, help="For servers without unique-ids: fetch all, and compare it.")
@_common
@click.pass_obj
def pop3(
    site: Site,
    source: str,
    address: str,
    folder: str,
    password_file: Path | None,
    password_stdin: bool,
    tls_fingerprint: str,
    insecure_plaintext: bool,
    by_content: bool,
    as_json: bool,
    again: bool,
    dry_run: bool,
) -> None:
    """Fetch the letters of a mailbox on another server by POP3, and remove nothing there.

    The name may be an address: pop3://alice@old.example@pop.old.example. The password is asked for. TLS is required
    (pop3:// with STLS), but for a server on this machine.
    """
    try:
        found = import_pop3.source(source)
        new = folders.written(folder) if folder else ""
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    server = evolve(found.server, fingerprint=_fingerprint(tls_fingerprint), plain=insecure_plaintext)
    place = Place(site.settings, account(site, address), "").within(folder, new)
    secret = password(f"{found.user} there", password_file, password_stdin)
    wishes = import_pop3.Wishes(secret, by_content, again, dry_run)
    warn_of_expiry(place)
    tally = Tally(f"{found.user}@{server.host}", str(place.account), folders.shown(place.folder))
    import_pop3.bring(place, evolve(found, server=server), wishes, tally)
    _tell([tally], as_json, dry_run)


@import_.command(short_help="A Maildir of another server, with its sub-folders.")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("address", metavar="ACCOUNT")
@click.option(
    "--uidl",
    metavar="FORMAT",
    default="auto",
    help="As which the old server has shown unique-ids: courier, mailstack, or Dovecot's pop3_uidl_format, such as"
    " %08Xu%08Xv, %v.%u or %f (the file's name, as qmail-pop3d has it).  [default: what the files in PATH suggest]",
)
@click.option("--control", type=click.Path(path_type=Path), help="Where Dovecot has dovecot-uidlist, if not in PATH.")
@_common
@click.pass_obj
def maildir(
    site: Site, path: Path, address: str, uidl: str, control: Path | None, as_json: bool, again: bool, dry_run: bool
) -> None:
    """Copy a Maildir and its sub-folders (Maildir++): letters, flags, keywords, and what is new stays new.

    PATH is what has the folders new and cur. The server that wrote it may still run; letters that come meanwhile are
    for the next import.
    """
    if uidl not in ("auto", "courier", "mailstack"):
        try:
            import_uidls.template(uidl)
        except ValueError as error:
            raise click.UsageError(f"--uidl: {error}") from None
    whose = account(site, address)
    root = path.absolute()
    warn_of_expiry(Place(site.settings, whose, ""))
    source = import_maildir.Source(root, (control or root).absolute(), uidl, again, dry_run)
    tallies = []
    for folder in source.folders():
        tally = Tally(str(root), str(whose), folders.shown(folder))
        tallies.append(tally)
        import_maildir.bring(Place(site.settings, whose, folder), source, tally)
        if tally.problem:
            break
    _tell(tallies, as_json, dry_run)


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if digits and (len(digits) != _FINGERPRINT or not set(digits) <= set("0123456789abcdef")):
        raise click.UsageError("--tls-fingerprint: a SHA-256 fingerprint has 64 hex digits")
    return digits


def _tell(tallies: list[Tally], as_json: bool, dry_run: bool) -> None:
    if as_json:
        json_out([tally.as_object() for tally in tallies])
    else:
        for tally in tallies:
            click.echo("\n".join(map(clean, sentences(tally, dry_run))))
    problems = [tally for tally in tallies if tally.problem]
    if problems:
        raise Failed(
            clean(f"{problems[0].problem}; what is imported stays, and the same command goes on with the rest")
        )
    if any(tally.refused for tally in tallies):
        raise Failed("not all letters could be imported; the same command tries them again")
