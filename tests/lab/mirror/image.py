#!/usr/bin/python3
"""Writes container images without a container engine, the same bytes every time.

    image.py build OUT --config JSON --arch ARCH --media docker|oci DIRECTORY...   one layer per directory tree
    image.py index OUT --media docker|oci IMAGE...                                 one index over built images

OUT is a directory in skopeo's `dir:` layout (the manifest and, by digest, everything under it), which, unlike an OCI
layout, may hold Docker's manifests as well: real registries serve both kinds. Prints the digest of the manifest.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path

MEDIA = {
    "docker": {
        "index": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifest": "application/vnd.docker.distribution.manifest.v2+json",
        "config": "application/vnd.docker.container.image.v1+json",
        "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    },
    "oci": {
        "index": "application/vnd.oci.image.index.v1+json",
        "manifest": "application/vnd.oci.image.manifest.v1+json",
        "config": "application/vnd.oci.image.config.v1+json",
        "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
    },
}
EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
CREATED = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def hexdigest(data):
    return hashlib.sha256(data).hexdigest()


def descriptor(media_type, data):
    return {"mediaType": media_type, "size": len(data), "digest": "sha256:" + hexdigest(data)}


def to_json(value):
    return json.dumps(value, indent=3).encode()


def layer_tar(root):
    """The tree under root as a tar stream: sorted, owned by root, one time stamp, and only two kinds of mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(Path(root).rglob("*"), key=lambda p: p.as_posix()):
            info = tar.gettarinfo(path, path.relative_to(root).as_posix())
            if info.islnk():  # a second name of a file: carry the bytes again rather than depend on the order
                info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
            executable = info.isdir() or info.mode & stat.S_IXUSR
            info.mode = 0o777 if info.issym() else 0o755 if executable else 0o644
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = EPOCH
            if info.isreg():
                with open(path, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return buffer.getvalue()


def start(out):
    out.mkdir(parents=True)
    (out / "version").write_text("Directory Transport Version: 1.1\n")


def build(out, config, arch, media, directories):
    media = MEDIA[media]
    start(out)
    layers, diff_ids = [], []
    for directory in directories:
        tar = layer_tar(directory)
        packed = gzip.compress(tar, compresslevel=6, mtime=0)
        (out / hexdigest(packed)).write_bytes(packed)
        layers.append(descriptor(media["layer"], packed))
        diff_ids.append("sha256:" + hexdigest(tar))
    image = to_json(
        {
            "created": CREATED,
            "architecture": arch,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": CREATED, "created_by": "khimg tests/lab/mirror"} for _ in diff_ids],
        }
    )
    (out / hexdigest(image)).write_bytes(image)
    manifest = to_json(
        {
            "schemaVersion": 2,
            "mediaType": media["manifest"],
            "config": descriptor(media["config"], image),
            "layers": layers,
        }
    )
    (out / "manifest.json").write_bytes(manifest)
    return manifest


def index(out, media, images):
    media = MEDIA[media]
    start(out)
    entries = []
    for image in images:
        manifest = (image / "manifest.json").read_bytes()
        parsed = json.loads(manifest)
        config = json.loads((image / parsed["config"]["digest"].removeprefix("sha256:")).read_bytes())
        entry = descriptor(parsed["mediaType"], manifest)
        entry["platform"] = {"architecture": config["architecture"], "os": config["os"]}
        entries.append(entry)
        (out / f"{hexdigest(manifest)}.manifest.json").write_bytes(manifest)
        for part in [parsed["config"], *parsed["layers"]]:
            blob = part["digest"].removeprefix("sha256:")
            shutil.copyfile(image / blob, out / blob)
    manifest = to_json({"schemaVersion": 2, "mediaType": media["index"], "manifests": entries})
    (out / "manifest.json").write_bytes(manifest)
    return manifest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("build")
    one.add_argument("out", type=Path)
    one.add_argument("--config", type=json.loads, required=True)
    one.add_argument("--arch", required=True)
    one.add_argument("--media", choices=MEDIA, required=True)
    one.add_argument("directories", type=Path, nargs="+")
    many = verbs.add_parser("index")
    many.add_argument("out", type=Path)
    many.add_argument("--media", choices=MEDIA, required=True)
    many.add_argument("images", type=Path, nargs="+")
    args = parser.parse_args()
    if args.verb == "build":
        manifest = build(args.out, args.config, args.arch, args.media, args.directories)
    else:
        manifest = index(args.out, args.media, args.images)
    print("sha256:" + hexdigest(manifest))


if __name__ == "__main__":
    sys.exit(main())
