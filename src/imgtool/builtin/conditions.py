"""Conditions over a row's fields: Python's comparison syntax, read but never run as Python."""

from __future__ import annotations

import ast
import operator
import re
from typing import TYPE_CHECKING, Any

from imgtool.errors import BadParams, near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
LONGEST = 2000


def parse_condition(text: str) -> ast.expr:
    """The tree of a condition: `and or not`, comparisons, `in`, arithmetic, numbers, texts, fields.

    Raises
    ------
    BadParams : it is no condition, or has calls, indexing or anything else in it.
    """
    if len(text) > LONGEST:
        raise BadParams(f"the condition is longer than {LONGEST} characters")
    try:
        tree = ast.parse(re.sub(r"\s+", " ", text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as err:
        raise BadParams(
            f"condition {text!r} cannot be read: {err}", "Such as: score.clip > 0.3"
        ) from None
    _check(tree, text)
    return tree


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.BoolOp(values=values):
            children = values
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(o) in COMPARE for o in ops
        ):
            children = [left, *others]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            children = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            children = [left, right]
        case ast.Constant(value=bool() | int() | float() | str()) | ast.Name():
            children = []
        case ast.Attribute(value=ast.Name() | ast.Attribute()):
            children = []
        case _:
            raise BadParams(
                f"condition {text!r}: {ast.unparse(node)!r} is not allowed",
                "Allowed: and, or, not, comparisons, in, + - * / %, numbers, texts, fields",
            )
    for child in children:
        _check(child, text)


def holds(tree: ast.expr, values: Mapping[str, Any]) -> bool:
    """Whether the condition holds for a row. A comparison with a missing value does not.

    Raises
    ------
    BadParams : the row has no such field, or values of different kinds are compared.
    """
    try:
        return bool(_value(tree, values))
    except (TypeError, ZeroDivisionError, OverflowError) as err:
        raise BadParams(f"condition {ast.unparse(tree)!r}: {err}") from None


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name() | ast.Attribute():
            return _field(ast.unparse(node), values)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(operand=operand):
            number = _value(operand, values)
            return None if number is None else -number
        case ast.BinOp(left=left, op=op, right=right):
            one, two = _value(left, values), _value(right, values)
            return None if one is None or two is None else ARITHMETIC[type(op)](one, two)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compare(_value(left, values), ops, [_value(o, values) for o in others])
        case _:
            raise TypeError(f"{ast.unparse(node)!r} is not allowed")


def _compare(left: Any, ops: list[ast.cmpop], others: list[Any]) -> bool:
    for op, right in zip(ops, others, strict=True):
        if left is None or right is None or not COMPARE[type(op)](left, right):
            return False
        left = right
    return True


def _field(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise BadParams(
            f"rows have no field {name!r}",
            f"{near(name, values)}Fields: {', '.join(sorted(values))}",
        )
    return values[name]
