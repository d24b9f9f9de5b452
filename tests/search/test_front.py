import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from netadapt import pareto_front
from netadapt.search.front import hypervolume

POINTS = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 20)).map(lambda p: (p[0] / 2, p[1] / 20)),
    min_size=1,
    max_size=40,
)


@given(POINTS)
def test_the_front_is_pymoos(points):
    latency, accuracy = np.array(points).T
    ours = pareto_front(latency, accuracy)
    objectives = np.column_stack([latency, -accuracy])
    theirs = NonDominatedSorting().do(objectives, only_non_dominated_front=True)
    assert {points[i] for i in ours} == {points[i] for i in theirs}
    assert len({points[i] for i in ours}) == len(ours)
    assert (np.diff(latency[ours]) > 0).all()
    assert (np.diff(accuracy[ours]) > 0).all()


@given(POINTS)
def test_hypervolume_is_pymoos(points):
    latency, accuracy = np.array(points).T
    reference = (8.0, 0.1)
    wanted = HV(ref_point=np.array([reference[0], -reference[1]]))(
        np.column_stack([latency, -accuracy])
    )
    assert hypervolume(latency, accuracy, reference) == pytest.approx(float(wanted), abs=1e-12)


def test_points_without_a_score_are_never_on_the_front():
    assert list(pareto_front([1.0, 2.0], [float("nan"), 0.5])) == [1]
    assert list(pareto_front([], [])) == []
    with pytest.raises(ValueError, match="two equal lists"):
        pareto_front([1.0], [0.5, 0.6])
