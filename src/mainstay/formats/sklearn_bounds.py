# SPDX-License-Identifier: Apache-2.0
"""Indices inside a loaded scikit-learn model that its compiled code follows without looking.

In: a loaded estimator. Out: Invalid, if a number in it points outside the memory it belongs to.
A list of types cannot see this: a forest made of allowed types, with a child index of ten million in one node, loads
well and reads foreign memory at the first prediction. So every tree, every neighbour tree and every support vector
machine is measured here, once, after loading. A tree whose children come after their parent cannot loop either.

Known and unchecked: what a constructor does with its arguments while loading. That is what the limited child is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mainstay.domain.errors import Invalid

_FOREIGN = (str, bytes, int, float, bool, complex, type(None))


def check(model: Any) -> None:
    """Raises Invalid: an index in ``model`` is out of bounds, or a tree stands where none belongs."""
    found = list(members(model))
    owned: set[int] = set()
    for member in found:
        owned |= _check_member(member)
    for member in found:
        if _kind(member) in _TREES and id(member) not in owned:
            raise _damaged(f"a {_kind(member)} stands outside of an estimator that has one")


def members(model: Any) -> Iterator[Any]:
    """Every object reachable from ``model`` by attribute, item or value, once; plain numbers and texts left out."""
    stack, seen = [model], {id(model)}
    while stack:
        value = stack.pop()
        yield value
        for child in _children(value):
            if not isinstance(child, _FOREIGN) and id(child) not in seen:
                seen.add(id(child))
                stack.append(child)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    if isinstance(value, np.ndarray):
        return list(value.flat) if value.dtype == object else []
    return list(getattr(value, "__dict__", {}).values())


def _kind(value: Any) -> str:
    return type(value).__name__ if type(value).__module__.startswith("sklearn.") else ""


def _check_member(member: Any) -> set[int]:
    """Check one object; returns the ids of the trees it vouches for."""
    state = getattr(member, "__dict__", {})
    if type(member).__module__.startswith("scipy.sparse.") and hasattr(member, "check_format"):
        _check_sparse(member)
    if not _kind(member):
        return set()
    if _kind(member) in ("KDTree", "BallTree"):
        _check_neighbours(member)
    if "support_vectors_" in state and "_n_support" in state:
        _check_support_vectors(member)
    if "_predictors" in state:
        return _check_histogram_trees(member)
    if "tree_" in state:
        _check_tree(member.tree_, int(member.n_features_in_))
        return {id(member.tree_)}
    if "estimators_" in state and type(member).__module__ in _TREE_ENSEMBLES:
        _check_ensemble(member)
    return set()


_TREES = ("Tree", "TreePredictor")
# These hand their rows to the trees without checking the width again.
_TREE_ENSEMBLES = ("sklearn.ensemble._forest", "sklearn.ensemble._gb")


def _damaged(what: str) -> Invalid:
    return Invalid(f"the model is damaged: {what}; save it again from where it was trained.")


def _check_tree(tree: Any, features: int) -> None:
    # node_count first: until it is known to fit, even reading children_left reads past the end.
    if _kind(tree) != "Tree" or not 1 <= tree.node_count <= tree.capacity or tree.n_features != features:
        raise _damaged("the size of a tree is not that of its nodes, or it was made for another number of columns")
    if tree.n_outputs < 1 or tree.max_n_classes < 1:
        raise _damaged("a tree has no outputs")
    left, right = tree.children_left, tree.children_right
    is_inner = left != -1
    _check_children(left[is_inner], right[is_inner], np.flatnonzero(is_inner), tree.node_count)
    _check_range(tree.feature[is_inner], features, "a tree asks for a column")


def _check_children(left: Any, right: Any, parents: Any, count: int) -> None:
    for children in (left, right):
        if len(children) and (np.any(children.astype(np.int64) <= parents) or int(children.max()) >= count):
            raise _damaged("a tree has a branch that leads outside of it")


def _check_range(indices: Any, end: int, what: str) -> None:
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= end):
        raise _damaged(f"{what} that is not there")


def _check_ensemble(ensemble: Any) -> None:
    trees = [tree for tree in np.ravel(np.asarray(ensemble.estimators_, dtype=object))]
    if any(getattr(tree, "n_features_in_", None) != ensemble.n_features_in_ for tree in trees):
        raise _damaged("a tree was made for another number of columns than its forest")


def _check_histogram_trees(booster: Any) -> set[int]:
    predictors = [predictor for stage in booster._predictors for predictor in stage]
    for predictor in predictors:
        if _kind(predictor) != "TreePredictor":
            raise _damaged("a stage of the boosting has no tree")
        _check_predictor(predictor, int(booster.n_features_in_))
    mapper = booster._bin_mapper
    for is_categorical, edges in zip(mapper.is_categorical_, mapper.bin_thresholds_, strict=True):
        if is_categorical:
            _check_range(edges, 256, "a category's number is one")
    return {id(predictor) for predictor in predictors}


def _check_predictor(predictor: Any, features: int) -> None:
    nodes = predictor.nodes
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    if len(nodes) == 0:
        raise _damaged("a tree has no nodes")
    _check_children(nodes["left"][inner], nodes["right"][inner], inner, len(nodes))
    _check_range(nodes["feature_idx"][inner], features, "a tree asks for a column")
    by_category = inner[nodes["is_categorical"][inner] != 0]
    for bitsets in (predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets):
        _check_range(nodes["bitset_idx"][by_category], len(bitsets), "a tree asks for a set of categories")


def _check_neighbours(tree: Any) -> None:
    data, order, nodes, bounds = (np.asarray(part) for part in tree.get_arrays())
    is_permutation = np.array_equal(np.sort(order), np.arange(len(data)))
    _check_range(nodes["idx_start"], len(data) + 1, "a neighbour tree starts at a row")
    _check_range(nodes["idx_end"], len(data) + 1, "a neighbour tree ends at a row")
    first_inner = len(nodes) // 2  # the nodes are a full binary tree in an array; its second half must be leaves
    if not is_permutation or not np.all(nodes["is_leaf"][first_inner:]) or bounds.shape[1] != len(nodes):
        raise _damaged("a neighbour tree does not fit its rows")


def _check_support_vectors(machine: Any) -> None:
    is_classifier = len(getattr(machine, "classes_", ())) > 0
    counts = np.asarray(machine._n_support if is_classifier else machine._n_support[:1])  # the rest says it twice
    count, classes = int(counts.sum()), len(counts) if is_classifier else 2
    pairs = classes * (classes - 1) // 2
    if (
        np.any(counts < 0)
        or machine._dual_coef_.shape != (classes - 1, count)
        or np.shape(machine.support_) != (count,)
    ):
        raise _damaged("a support vector machine has another number of vectors than it says")
    if np.size(machine._intercept_) != pairs or any(
        np.size(part) not in (0, pairs) for part in (machine._probA, machine._probB)
    ):
        raise _damaged("a support vector machine has another number of classes than it says")
    if machine.kernel != "precomputed" and machine.support_vectors_.shape != (count, machine.n_features_in_):
        raise _damaged("the vectors of a support vector machine have the wrong shape")


def _check_sparse(matrix: Any) -> None:
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise _damaged(f"the indices of a sparse matrix do not fit ({error})") from error
