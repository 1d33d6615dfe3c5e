"""The published labeled/unlabeled splits by their counts and hashes. The lists themselves are not part of the package.

VOC 92 ... 1464 and 1_16 ... 1_2, Cityscapes and COCO are the lists of ST++ and UniMatch, which AllSpark uses;
VOC u2pl_* are U2PL's. ``python tools/prepare/splits.py`` fetches and checks them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fingerprint:
    """What tells one list of ids from another, whatever its order."""

    count: int
    sha256: str | None = None  # of the sorted ids joined by newlines; None: only the count is known

    @classmethod
    def of(cls, ids: Iterable[str]) -> Fingerprint:
        """Computes the fingerprint of a list in any order."""
        ids = sorted(ids)
        return cls(len(ids), hashlib.sha256("\n".join(ids).encode()).hexdigest())

    def fits(self, other: Fingerprint) -> bool:
        """Tells whether counts agree, and hashes if both are known."""
        return self.count == other.count and (None in (self.sha256, other.sha256) or self.sha256 == other.sha256)


@dataclass(frozen=True)
class PublishedDataset:
    """The published lists of a data set."""

    train: Fingerprint  # all training ids, labeled and unlabeled
    val: Fingerprint
    labeled: dict[str, Fingerprint]  # of each split


PUBLISHED: dict[str, PublishedDataset] = {
    "voc": PublishedDataset(
        train=Fingerprint(10582, "855dff350b7f447bf43cb98ea626a32e0d0b3b7c5786e03b2712a21355b635bf"),
        val=Fingerprint(1449, "6f8edc37993764f6e212237d39546fb595246244147e8a050813c520aac0ade1"),
        labeled={
            "92": Fingerprint(92, "124b0aab2fcd1767214bf465d8fa24dd179c3abe99951a063a92d11c48663987"),
            "183": Fingerprint(183, "79b959bccf7753cd70bba8d5abdb7e9c0f16df053ce458916ae19a897149136d"),
            "366": Fingerprint(366, "f0e702c687e2ba711cb726ace02e2bb0b5571fd73bb3e2419441cd53c196416b"),
            "732": Fingerprint(732, "8c23014f512884b9ef51e91113e69b7197de6e53c699019956d3874998a005b0"),
            "1464": Fingerprint(1464, "129f1fe991729b1862115b77738c938c149c1f167baa02b4b3186aea9f0d6a84"),
            "1_16": Fingerprint(662, "baa85754594fcd33c7f06d9ef173db9f70a0c32f826a2958668ee406db9f7c5a"),
            "1_8": Fingerprint(1323, "c9ca45b4e688d408cd0856e9d17bdf99a8c9bd1de09d33023e578cdb9a49f1a3"),
            "1_4": Fingerprint(2646, "fd0e8dca3dac524cf3b8c2b8540bc67bac1fb5df93e562faf35232e90c444295"),
            "1_2": Fingerprint(5291, "5338f277730143e02973ac654d6f0fb43e6758bd22769161397c42f08c818e0b"),
            "u2pl_1_16": Fingerprint(662, "feea4692738362e449721faff842a3aa103bf984f7d6dd748eeb511a6f722fe5"),
            "u2pl_1_8": Fingerprint(1323, "23921931a21324cfefdf4c67d4d2119d73c2c599bee9a95684ed802c2d134916"),
            "u2pl_1_4": Fingerprint(2646, "d35f7cd4b4815e1d83809e2acd19fe536e92319823a8a83353f20e68b2f96899"),
        },
    ),
    "cityscapes": PublishedDataset(
        train=Fingerprint(2975, "382c49a22e81a4997c59dba6f18ed4cb9e3b4e1e3fde583787c974e20dbf68e5"),
        val=Fingerprint(500, "bb83c60a9a0f4e9a541be04e098636f4f4839a61376020e30ba11e08594ba153"),
        labeled={
            "1_30": Fingerprint(100, "6e265ef2bfb4d9e5ad3465ae8dd7419feab8b62fb6989c14bde4d2020a60086b"),
            "1_16": Fingerprint(186, "7f5edfea73278e1a9b9a092698abbc7eb8b88b0c7dfa87fb574f7249391837c6"),
            "1_8": Fingerprint(372, "dceeaaf93e3044916c853d069e1622d81dfbd83b3ac70319b4d02531005a3d4a"),
            "1_4": Fingerprint(744, "dd7a6fb33a01b01ae990efdfce471f1253e69e81025470e9461cf738d03bc1b0"),
            "1_2": Fingerprint(1488, "f33f121eb382b05e5c5f4ccc07c9ce529d66c91b15e2f415184c3f6206dcdc2b"),
        },
    ),
    "coco": PublishedDataset(
        train=Fingerprint(118287),  # train2017; its ids come with the data
        val=Fingerprint(5000, "3b4ea1d567a37f2d71549dd28f1783abf45270b84cffcee2acb008006fdf9d7f"),
        labeled={
            "1_512": Fingerprint(232, "7a80d0605a2a43838cb7d3c3a90aa7258d597f0556e45dd1ba504a5a5ebb3a10"),
            "1_256": Fingerprint(463, "d89f8cf50e276af374dd5112996d4a3a16e035c7f803ff99c513e8ee296597d2"),
            "1_128": Fingerprint(925, "92eb3929f14c6eab21abdeb1acc1c42635d141fb8c08c1a59dea677998e5a9d7"),
            "1_64": Fingerprint(1849, "67e1fa5b00095d68e9e7b811e8590c95314ff5ab96b55b11dd4b17976536e805"),
            "1_32": Fingerprint(3697, "3410484b2537220155eaed47112df3fa8a88fde40f9d2fea8ce03152c0099a5c"),
        },
    ),
}
