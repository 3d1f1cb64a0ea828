"""What a row of a batch is made of. As a program: a worker of `perse-live batch`, see `perse_live.batch.local`."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from perse_live.batch.job import Job, Made, StepProgress
from perse_live.cli.options import Network
from perse_live.cli.shared import BUILDING_ASSETS, fetch, without_offline


def make_files(job: Job, folder: Path, progress: StepProgress) -> Made:
    """Build a row's avatar, its contact sheet and its files for other programs.

    Raises UserError where no avatar can be made of the photo.
    """
    try:
        from offline.build_state import Consent
        from offline.pipeline import build_avatar
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    from perse_live.avatar import save_avatar
    from perse_live.files import write_image
    from runtime.sheet import contact_sheet

    fetch(BUILDING_ASSETS, Network(job.offline), progress)
    consent = Consent(job.consent, datetime.now(timezone.utc).isoformat(timespec="seconds"))
    avatar = build_avatar(Path(job.photo), consent=consent, progress=progress)
    complaints: list[str] = []
    if job.looks:
        from offline.looks.edit import with_built_in

        avatar, complaints = with_built_in(avatar, job.looks, progress=progress)
    save_avatar(folder / f"{job.name}.perse", avatar)
    write_image(folder / f"{job.name}.png", contact_sheet(avatar))
    if job.formats:
        from export.interchange import WEB, write_interchange
        from export.state import state_gaussians
        from export.web.bundle import write_bundle
        from perse_live.head.expressions import expression

        if WEB in job.formats:
            write_bundle(avatar, folder, job.name, attributes={})
        if files := [one for one in job.formats if one != WEB]:
            write_interchange(
                state_gaussians(avatar, attributes={}, expression=expression()),
                folder,
                job.name,
                files,
            )
    made = avatar.provenance
    likeness = {"person_psnr": made.person_psnr, "face_psnr": made.face_psnr}
    figures = {
        "gaussians": float(len(avatar)),
        **{name: value for name, value in likeness.items() if value is not None},
    }
    return Made((*made.warnings, *complaints), figures)


if __name__ == "__main__":
    from perse_live.batch.local import serve
    from perse_live.threads import limit_native_threads

    limit_native_threads()
    serve(make_files)
