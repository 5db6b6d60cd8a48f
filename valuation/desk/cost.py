"""Methods 1 to 3, the cost approach: what was spent, or would be, times what is left of it."""

from fractions import Fraction

from valuation.desk.contract import Field, Number, ObjectOf, Text, named
from valuation.desk.method import Figures, Given, Output, field, method, table
from valuation.desk.reals import power, rounded, total
from valuation.errors import MissingKey, OutOfRange, WrongType

MODES = ("quality", "life", "both")
"""Which coefficient delta: quality, remaining life, or their product."""

_ONE = Fraction(1)


def life_share(*, age: Fraction, remaining: Fraction) -> Fraction:
    """Share of the economic life that is left: ``remaining / (remaining + age)``, years, ``remaining > 0``."""
    return remaining / (remaining + age)


def coefficient(mode: str, *, share: Fraction, life: Fraction) -> Fraction:
    """The value-adjustment coefficient delta of one of :data:`MODES`, from the quality ``share`` and the ``life`` share."""
    return {"quality": share, "life": life, "both": share * life}[mode]


def indexed(amounts: Fraction, *, base: Fraction, level: Fraction) -> Fraction:
    """``amounts`` of a year with price index ``level > 0`` at the prices of the year with index ``base``."""
    return amounts * base / level


@method(
    title="Indexed cost times value adjustment (2023 guidance)",
    formula="C = Σ cost·I(base)/I(year);  life = RUL/(RUL + age);  δ = q, life or q·life;  P = C·δ",
    latex=r"C=\sum_y \frac{I_D}{I_y}\sum_k c_{y,k},\quad \delta\in\Bigl\{q,\ \tfrac{RUL}{RUL+age},\ "
    r"q\,\tfrac{RUL}{RUL+age}\Bigr\},\quad P=C\,\delta",
    source="《数据资产评估指导意见》 中评协〔2023〕17号, cost approach",
    inputs=(
        table(
            "items",
            "costs by year",
            field("year", "year", "any", "year the cost was spent", whole=True),
            Field(
                "cost",
                ObjectOf(Number("¥", ">=0")),
                "cost elements by name: pre, direct, indirect, opportunity, tax; any set of names, all are summed",
            ),
        ),
        Field(
            "price_index",
            ObjectOf(Number("index", ">0")),
            "price index level by year as text; holds base_year and each item year",
        ),
        Field("base_year", Text(), "key of price_index at the valuation date"),
        Field("mode", Text(MODES), "which coefficient"),
        field("quality", "share", "(0,1.5]", "quality coefficient q", usual="[0.3,1]"),
        field("age_years", "y", ">=0", "elapsed life"),
        field("remaining_years", "y", ">0", "remaining useful life RUL"),
    ),
    outputs=(Output("C", "¥", "indexed cost"), Output("delta", "share", "coefficient δ"), Output("P", "¥", "value")),
    conditions=("price_index holds base_year and every items[].year; its keys are years as text",),
)
def cost_cas2023(given: Given) -> Figures:
    """Indexed historical cost of a data asset times a value-adjustment coefficient."""
    index = given["price_index"]
    for name in index:
        digits = name.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(name) <= 9 and name == str(int(name))):
            raise WrongType(named("price_index", name), "a year as text")
    base = given["base_year"]
    if base not in index:
        raise MissingKey(f"price_index.{base}" if base.isdigit() and len(base) <= 9 else "price_index (base_year)")
    cost = Fraction(0)
    for item in given["items"]:
        year = str(item["year"])
        if year not in index:
            raise MissingKey(f"price_index.{year}")
        cost += rounded(indexed(total(item["cost"].values()), base=index[base], level=index[year]))
    life = life_share(age=given["age_years"], remaining=given["remaining_years"])
    delta = coefficient(given["mode"], share=given["quality"], life=life)
    return {"C": cost, "delta": delta, "P": cost * delta}


@method(
    title="Modified cost (expert guideline No. 9)",
    formula="β = (a·V_open + b·V_public + c·V_shared)/V_total;  l = own/industry;  U = α·β·(1+l)·(1−r);  "
    "P = TC·(1+R)·U;  P_alt = TC·(1 + R·U)",
    latex=r"\beta=\frac{aV_o+bV_p+cV_s}{V},\quad U=\alpha\beta(1+l)(1-r),\quad P=TC(1+R)U,\quad P_{alt}=TC(1+RU)",
    source="资产评估专家指引第9号 中评协〔2019〕40号, cost method",
    inputs=(
        field("TC", "¥", ">0", "total cost"),
        field("R", "share", "[0,0.5]", "return on cost"),
        field("alpha", "share", "(0,1]", "data quality coefficient α", usual="[0.8,0.98]"),
        field("V_open", "volume", ">=0", "volume openly shared"),
        field("V_public", "volume", ">=0", "volume published"),
        field("V_shared", "volume", ">=0", "volume shared on request"),
        field("V_total", "volume", ">0", "total volume; the rest (non-shared) weighs 0"),
        field("k_open", "", ">0", "propagation factor a"),
        field("k_public", "", ">0", "propagation factor b"),
        field("k_shared", "", ">0", "propagation factor c"),
        field("own_volume", "any one unit", ">=0", "the subject's volume"),
        field("industry_volume", "same unit", ">0", "the industry's volume"),
        field("r", "share", "[0,1)", "realisation risk", usual="[0.05,0.3]"),
    ),
    outputs=(
        Output("beta", "", "circulation β, in (0,3]"),
        Output("l", "share", "monopoly factor l"),
        Output("U", "factor", "combined factor U"),
        Output("P", "¥", "primary reading"),
        Output("P_alt", "¥", "second reading: U corrects the return only"),
    ),
    conditions=("V_total ≥ V_open + V_public + V_shared", "industry_volume ≥ own_volume", "β lies in (0,3]"),
)
def cost_cas9(given: Given) -> Figures:
    """Modified cost method with circulation, monopoly and realisation-risk factors."""
    if given["V_total"] < given["V_open"] + given["V_public"] + given["V_shared"]:
        raise OutOfRange("V_total", "[V_open + V_public + V_shared, inf)")
    if given["industry_volume"] < given["own_volume"]:
        raise OutOfRange("industry_volume", "[own_volume, inf)")
    weighted = total(given[f"k_{kind}"] * given[f"V_{kind}"] for kind in ("open", "public", "shared"))
    beta = weighted / given["V_total"]
    if not 0 < beta <= 3:
        raise OutOfRange("beta", "(0,3], where beta = (a V_open + b V_public + c V_shared) / V_total")
    monopoly = given["own_volume"] / given["industry_volume"]
    factor = given["alpha"] * beta * (1 + monopoly) * (1 - given["r"])
    cost, back = given["TC"], given["R"]
    return {
        "beta": beta,
        "l": monopoly,
        "U": factor,
        "P": cost * (1 + back) * factor,
        "P_alt": cost * (1 + back * factor),
    }


@method(
    title="Replacement cost new less obsolescence",
    formula="RCN = (direct + indirect)·(1 + margin)·(1 + r_e)^(months/24);  "
    "value = RCN·(1−functional)·(1−technological)·(1−economic)",
    latex=r"RCN=(d+i)(1+m)(1+r_e)^{b/24},\quad P=RCN(1-o_f)(1-o_t)(1-o_e)",
    source="IVS 210 and IVS 103, cost approach",
    inputs=(
        field("direct", "¥", ">=0", "direct build cost"),
        field("indirect", "¥", ">=0", "indirect build cost"),
        field("build_months", "months", ">=0", "length of the build"),
        field("developer_margin", "share", ">=0", "developer's profit on cost", usual="[0.05,0.15]"),
        field("entrepreneurial_rate", "1/y", ">=0", "entrepreneurial return r_e", usual="[0.1,0.2]"),
        field("functional_obs", "share", "[0,1)", "functional obsolescence"),
        field("technological_obs", "share", "[0,1)", "technological obsolescence"),
        field("economic_obs", "share", "[0,1)", "economic obsolescence"),
    ),
    outputs=(
        Output("replacement_cost_new", "¥", "RCN; spend is uniform, so the return compounds for half the build"),
        Output("value", "¥", "RCN less obsolescence"),
    ),
    conditions=("direct + indirect > 0",),
)
def cost_ivs210_replacement(given: Given) -> Figures:
    """Replacement cost new less obsolescence."""
    spent = given["direct"] + given["indirect"]
    if spent == 0:
        raise OutOfRange("direct", "costs whose sum with indirect is above 0")
    compounding = power(1 + given["entrepreneurial_rate"], given["build_months"] / 24)
    new = spent * (1 + given["developer_margin"]) * compounding
    left = (_ONE - given["functional_obs"]) * (1 - given["technological_obs"]) * (1 - given["economic_obs"])
    return {"replacement_cost_new": new, "value": new * left}
