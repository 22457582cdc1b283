"""A segmenter is trained, goes on after a kill, and ends in weights that detect; labelled pictures train one too."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from friedel.core.errors import DataError, RecipeError  # noqa: E402
from friedel.crystal import load_phases  # noqa: E402
from friedel.nets.architecture import Architecture  # noqa: E402
from friedel.nets.cards import SegmenterCard, WeightsError, verify_weights  # noqa: E402
from friedel.nets.half_plane import half_of, whole_of  # noqa: E402
from friedel.nets.inference import load_network  # noqa: E402
from friedel.nets.segmenter import SegmentDetector, load_segmenter, map_spectrum  # noqa: E402
from friedel.nets.training import finish_segmenter, segmenting  # noqa: E402
from friedel.nets.training.export import read_segmenter  # noqa: E402
from friedel.nets.training.judging import make_case  # noqa: E402
from friedel.nets.training.networks import Segmenter  # noqa: E402
from friedel.nets.training.pictures import find_pairs, marked, set_aside, speckle_of  # noqa: E402
from friedel.nets.training.recipe import SegmenterRecipe  # noqa: E402
from friedel.nets.training.segmenter import learn_from_pictures, learn_from_simulations  # noqa: E402
from friedel.nets.training.spectra import Spectrum, load_spectrum, turned, write_spectra  # noqa: E402
from friedel.simulate.training.micrographs import Variety  # noqa: E402

TINY = SegmenterRecipe(
    architecture=Architecture("unet", 4, 2, 2), steps=4, batch=2, crop_px=64, warm_up=1, validate_every=4,
    checkpoint_every=2, learning_rate=0.05, micrographs=3, validation_micrographs=2, shapes=((96, 80), (81, 96)),
    variety=Variety(max_grains=2, grain_share=(0.4, 0.6), dose_e_per_a2=(2000.0, 5000.0), empty_share=0.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def crystals():
    return {"train": load_phases(["au"]).crystals, "validation": load_phases(["mgo"]).crystals,
            "test": load_phases(["si"]).crystals}  # fmt: skip


@pytest.fixture(scope="module")
def spectra(crystals, tmp_path_factory):
    return write_spectra(tmp_path_factory.mktemp("spectra"), 1, 3, crystals["train"], TINY.variety, TINY.shapes)


@pytest.fixture(scope="module")
def card(crystals, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finish_segmenter, "_TEST_MICROGRAPHS", 2)
        return learn_from_simulations(TINY, crystals, tmp_path_factory.mktemp("segmenter"), device="cpu")


def _train(recipe, spectra, out):
    trained = segmenting.train_segmenter(recipe, spectra[:2], spectra[2:], out, load=load_spectrum, device="cpu")
    return {name: p.detach().clone() for name, p in trained.network.named_parameters()}


def test_a_training_repeats_itself_and_goes_on_after_a_kill(spectra, tmp_path, monkeypatch):
    whole, again = (_train(TINY, spectra, tmp_path / name) for name in ("whole", "again"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    other = _train(TINY.model_copy(update={"seed": 1}), spectra, tmp_path / "other")
    assert not all(torch.equal(whole[name], other[name]) for name in whole)
    real = segmenting._losses

    def dies_at_the_fourth(recipe, network, training, load, step, device):
        if step == 3:
            raise KeyboardInterrupt
        return real(recipe, network, training, load, step, device)

    with monkeypatch.context() as patch:
        patch.setattr(segmenting, "_losses", dies_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            _train(TINY, spectra, tmp_path / "killed")
    resumed = _train(TINY, spectra, tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with pytest.raises(RecipeError, match="data"):
        segmenting.train_segmenter(TINY, spectra[1:], spectra[:1], tmp_path / "whole", load=load_spectrum, device="cpu")


def test_turned_spectra_are_those_of_turned_micrographs():
    rng = np.random.default_rng(3)
    plane = whole_of(half_of(rng.random((9, 13))), 13)
    spectrum = Spectrum(half_of(plane), half_of(plane > 0.5), half_of(plane > 0.1), 13)
    for turn, expected in ((0, plane), (1, plane.T), (2, plane[::-1]), (3, plane.T[::-1])):
        found = turned(spectrum, turn)
        np.testing.assert_array_equal(found.half, half_of(expected))
        np.testing.assert_array_equal(found.mask, half_of(expected > 0.5))
        assert found.width == expected.shape[1]


def test_the_card_and_the_weights_are_those_that_were_trained(card, crystals):
    stored = verify_weights(card)
    assert isinstance(stored, SegmenterCard)
    assert stored.training.recipe_sha256 == TINY.digest
    assert stored.training.start_sha256 is None
    ready = load_segmenter(str(card))
    network = Segmenter(TINY.architecture)
    read_segmenter(network, ready.path)
    case = make_case(3, 0, crystals["test"], TINY.variety, TINY.shapes)
    by_torch = segmenting.segment(network, half_of(case.pattern.data), case.pattern.shape[1])
    by_onnx = ready.probability(half_of(case.pattern.data), case.pattern.shape[1])
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-5)
    assert np.ptp(by_onnx) > 0
    with pytest.raises(WeightsError, match="segmenter"):
        load_network(str(card))


def test_spots_are_where_the_map_says_and_measured_on_the_power(card, crystals, monkeypatch):
    case = make_case(3, 1, crystals["test"], TINY.variety, TINY.shapes)
    ready = load_segmenter(str(card))
    at = np.argmax(np.where(case.search, case.pattern.data, 0))
    half = np.zeros(case.pattern.shape, dtype=np.float32)
    half.flat[at] = 0.9999
    y, x = np.unravel_index(at, case.pattern.shape)
    symmetric = np.maximum(half, whole_of(half_of(half), half.shape[1]))
    monkeypatch.setattr("friedel.nets.segmenter.map_spectrum", lambda segmenter, ratio: symmetric)
    spots = SegmentDetector(ready).find(case.pattern, case.annulus_inv_a)
    assert len(spots) == 1
    np.testing.assert_allclose(
        spots.k_inv_a[0], case.pattern.grid.k_of((y, x)), atol=2 * max(case.pattern.grid.step_inv_a)
    )
    assert (spots.sigma_inv_a > 0).all()


@pytest.mark.parametrize("number", range(len(TINY.shapes)))
def test_the_map_of_a_spectrum_obeys_friedels_law(card, crystals, number):
    case = make_case(3, number, crystals["test"], TINY.variety, TINY.shapes)
    found = map_spectrum(load_segmenter(str(card)), case.pattern.data)
    rows, columns = (slice(1 - n % 2, None) for n in found.shape)  # Nyquist of an even side has no partner
    paired = found[rows, columns]
    left = paired.shape[1] // 2  # the column of the seam is seen from one side only
    assert left > 30
    np.testing.assert_array_equal(paired[:, :left], paired[::-1, ::-1][:, :left])


def _pictures(folder, rng):
    y, x = np.arange(48)[:, None] - 24, np.arange(48) - 24
    for i in range(12):
        at = rng.integers(6, 16, 2)
        spots = sum(np.hypot(y - s * at[0], x - s * at[1]) < 2 for s in (1, -1))
        power = rng.exponential(size=(48, 48)) * (1 + 20 * spots)
        picture = np.clip(40 * np.sqrt(power), 0, 255).astype(np.uint8)
        label = np.where(spots | (np.hypot(y, x) < 2), 0, 255).astype(np.uint8)
        for kind, array in (("images", picture), ("labels", label)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(array).save(folder / kind / f"{i // 2}_{i % 2}.png")
    return folder / "images", folder / "labels"


def _write_plainly(network, path):
    path.write_bytes(b"".join(p.detach().numpy().tobytes() for p in network.parameters()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_labelled_pictures_train_a_segmenter_and_sources_stay_together(card, tmp_path, monkeypatch):
    images, labels = _pictures(tmp_path, np.random.default_rng(5))
    pairs = find_pairs(images, labels)
    assert len(pairs) == 12
    judged = set_aside([picture for picture, _ in pairs])
    sources = {path.stem.split("_")[0] for path in judged}
    assert len(sources) == 1
    assert judged == {path for path, _ in pairs if path.stem.split("_")[0] in sources}
    recipe = TINY.model_copy(update={"crop_px": 32})
    # Exporting takes seconds, and the other training is exported for real.
    monkeypatch.setattr(finish_segmenter, "export_segmenter", _write_plainly)
    path = learn_from_pictures(recipe, images, labels, tmp_path / "out", start=str(card), device="cpu")
    stored = verify_weights(path)
    assert isinstance(stored, SegmenterCard)
    assert stored.training.start_sha256 == verify_weights(card).sha256
    (labels / "0_0.png").unlink()
    with pytest.raises(DataError, match="0_0"):
        find_pairs(images, labels)


def test_a_label_may_be_black_on_white_and_its_centre_is_no_spot():
    label = np.full((40, 40), 255, dtype=np.uint8)
    label[19:22, 19:22] = label[5:8, 30:33] = 0
    assert marked(label).sum() == marked(255 - label).sum() == 9
    assert marked(label)[6, 31]


@pytest.mark.parametrize("gamma", [1.0, 0.5, 0.25])
def test_grey_values_of_any_gamma_become_speckle(gamma):
    power = np.random.default_rng(6).exponential(size=(128, 128))
    ratio = speckle_of(np.clip(100 * power**gamma, 1, None))
    low, high = np.quantile(ratio, [0.25, 0.75])
    assert high / low == pytest.approx(np.log(4) / np.log(4 / 3), rel=0.1)
    assert ratio.mean() == pytest.approx(1.0, rel=0.1)
