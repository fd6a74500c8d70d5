"""``mailstack queue fsck``: is the queue whole, and what can be done where it is not?"""

from __future__ import annotations

import click

from mailstack.admin.site import Site


@click.command(short_help="Is every letter whole? Looks at rows and files.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object for each finding.")
@click.option("--repair", is_flag=True, help="Do what the start of the server would do. The server must be stopped.")
@click.option("--release", metavar="ID", help="Put a letter whose rows are lost, or damaged, into the queue again.")
@click.option(
    "--to", multiple=True, metavar="ADDRESS", help="With --release: who gets it.  [default: as its file says]"
)
@click.pass_context
def fsck(context: click.Context, as_json: bool, repair: bool, release: str | None, to: tuple[str, ...]) -> None:
    """Look at the database, at each letter's rows and file, and at what lies around: is all of it whole?

    Each finding says what to do. The server may run meanwhile; nothing is changed but by --repair and --release.
    Exit code 0: nothing is wrong; 1: something is.

    \b
    mailstack queue fsck
    mailstack queue fsck --release 06ENNT0KXQH5 --to alice@office.test
    """
    if (repair and release) or (to and not release):
        raise click.UsageError("Give either --repair, or --release, and --to with --release only.")
    # Here, because it needs the spool and so takes long to load, which other commands do not.
    from mailstack.admin import fsck_run

    site: Site = context.obj
    folder = site.settings.server.data / "spool"
    if not folder.is_dir():
        click.echo("[]" if as_json else "There is no queue yet.")
    elif release:
        fsck_run.release(site, folder, release, to)
    else:
        wrong = fsck_run.repair(site, folder, as_json) if repair else fsck_run.examine(site, folder, as_json)
        context.exit(1 if wrong else 0)
