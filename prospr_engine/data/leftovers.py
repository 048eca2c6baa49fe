"""Files and folders that systems and programs leave among a user's own."""

from __future__ import annotations

import re

NAMES = frozenset(
    {
        *("__macosx", "icon\r", "network trash folder", "temporary items", "desktop db"),  # macOS
        *("desktop df", "thevolumesettingsfolder"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),  # Windows
        *("recycler", "recycled", "recycle.bin", "system volume information", "msocache"),
        *("config.msi", "pagefile.sys", "hiberfil.sys", "swapfile.sys"),
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@sharebin", "@appstore"),  # Synology
        *("@recycle", "@recently-snapshot", "@transcode", "@deleted"),  # QNAP
        *("lost+found", "aquota.user", "aquota.group"),  # Linux
        *("lost.dir", "~snapshot"),  # Android, NetApp
        *("__pycache__", "picasa.ini", "nksc_param", "zbthumbnail.info"),  # programs
        *("_gsdata_", "sync.ffs_db", "sync.ffs_lock", "synctoydirectorypairs"),
        *("cvs", "_svn", "_vti_cnf", "_vti_pvt", "node_modules", "wandb", "mlruns"),
    }
)
"""In lower case. Those that begin with a dot are not listed: all of them are left out."""
PATTERNS = re.compile(
    r"found\.\d{3}"  # pieces that Windows' chkdsk saved
    r"|\$(recycle\.bin|windows\.~|extend|av_|sysreset|winreagent).*"
    r"|thumbs\.db:.*"
    r"|.*\.(lrdata|lrcat-data)"  # Lightroom's previews
    r"|.*@syno(resource|eastream)"
    r"|~\$.*"  # locks of Microsoft Office
)


# One search through the whole path: a data set may have a million files.
_WITHIN = PATTERNS.pattern.replace(".*", "[^/\\n]*")
_LEFTOVER = re.compile(
    rf"(?:^|/)(?:\.|(?:{'|'.join(map(re.escape, sorted(NAMES)))}|{_WITHIN})(?:/|\Z))"
)


def is_leftover(path: str) -> bool:
    """Whether a file or folder, or one that it lies in, is hidden or of no user."""
    return _LEFTOVER.search(path.lower()) is not None
