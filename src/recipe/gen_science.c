/* gen_science.c: procedural tasks of physics, with units, and of stoichiometry.
 *
 * Numbers are drawn as whole multiples of a power of ten, so that prompts show exact decimals.  An
 * answer that a short decimal states exactly must be exact; the others are asked for, and judged,
 * to three significant digits. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "recipe/gen.h"
#include "verify/science.h"

enum { DIGITS = 3 };

/* ---- Quantities -------------------------------------------------------------------------- */

/* A value is exact when six significant digits state it. */
static bool exact(double v)
{
    char text[32];
    double back;
    snprintf(text, sizeof text, "%.6g", v);
    return sscanf(text, "%lf", &back) == 1 && fabs(back - v) <= 1e-12 * fabs(v);
}

/* A value within these bounds has a number that people write, at three digits too. */
static bool plain(double v)
{
    return fabs(v) >= 1e-3 && fabs(v) < 1e7;
}

/* Without the zeros that do not count. */
static void put_value(char out[48], double v, bool is_exact)
{
    if (is_exact) {
        snprintf(out, 48, "%.6g", v);
        if (strchr(out, 'e'))
            snprintf(out, 48, "%.0f", v);
        return;
    }
    int decimals = DIGITS - 1 - (int)floor(log10(fabs(v)));
    double unit = pow(10, -decimals);
    snprintf(out, 48, "%.*f", decimals > 0 ? decimals : 0,
             decimals < 0 ? round(v / unit) * unit : v);
}

/* The end of a question about `value` units, with what distinguishes it in the spec. */
static bool ask(r1_problem *out, r1_buf *q, double value, const char *unit)
{
    bool is_exact = exact(value);
    char number[48], solution[80], form[96];
    double scaled = value / pow(10, floor(log10(fabs(value))) - DIGITS + 1);
    /* At the edge between two roundings the reference would be a matter of taste. */
    if (!plain(value) || (!is_exact && fabs(fabs(scaled - floor(scaled)) - 0.5) < 0.02)) {
        r1_buf_release(q);
        return false;
    }
    put_value(number, value, is_exact);
    snprintf(solution, sizeof solution, "%s %s", number, unit);
    snprintf(form, sizeof form, "the result in %s%s", unit,
             is_exact ? "" : ", rounded to three significant digits,");
    json_t *spec =
        json_pack("{s:s,s:f,s:s}", "question", q->data, "value", value, "unit", unit);
    int failed = is_exact ? 0 : json_object_set_new(spec, "digits", json_integer(DIGITS));
    r1_assert(spec && !failed);
    char example[80];
    snprintf(example, sizeof example, "12.5 %s", unit);
    r1_gen_finish(out, q, form, example, spec, "quantity", solution);
    return true;
}

/* low..high in steps of 10^-decimals. */
static double draw(r1_rng *r, double low, double high, int decimals)
{
    double unit = pow(10, decimals);
    return r1_gen_between(r, (int)lround(low * unit), (int)lround(high * unit)) / unit;
}

/* ---- Physics: each question writes itself and returns its value -------------------------- */

typedef double (*question)(r1_rng *r, r1_buf *q, const char **unit);

static double convert(r1_rng *r, r1_buf *q, const char **unit)
{
    static const struct {
        const char *from, *to;
        double factor, low, high;
        int decimals;
    } kinds[] = {
        {"km/h", "m/s", 1 / 3.6, 5, 300, 1},
        {"m/s", "km/h", 3.6, 1, 99, 2},
        {"km", "m", 1000, 0.1, 50, 3},
        {"h", "min", 60, 0.5, 40, 2},
        {"min", "s", 60, 0.5, 99, 2},
        {"t", "kg", 1000, 0.1, 30, 3},
        {"g", "kg", 1e-3, 5, 9000, 0},
        {"cm^2", "m^2", 1e-4, 50, 9999, 0},
        {"L", "cm^3", 1000, 0.1, 20, 3},
        {"m^3", "L", 1000, 0.1, 9, 3},
        {"kJ", "J", 1000, 0.1, 80, 3},
        {"kWh", "MJ", 3.6, 0.5, 99, 2},
        {"g/cm^3", "kg/m^3", 1000, 0.5, 20, 3},
        {"bar", "kPa", 100, 0.1, 30, 3},
        {"mA", "A", 1e-3, 5, 9000, 0},
        {"cm", "m", 1e-2, 5, 9000, 0},
        {"mm", "cm", 1e-1, 5, 9000, 0},
        {"d", "h", 24, 0.5, 60, 2},
        {"km/min", "m/s", 1000.0 / 60, 0.3, 9, 3},
        {"dm^3", "cm^3", 1000, 0.1, 9, 3},
    };
    int i = r1_gen_between(r, 0, sizeof kinds / sizeof *kinds - 1);
    double v = draw(r, kinds[i].low, kinds[i].high, kinds[i].decimals);
    r1_buf_printf(q, "Convert %g %s to %s.", v, kinds[i].from, kinds[i].to);
    *unit = kinds[i].to;
    return v * kinds[i].factor;
}

static double speed(r1_rng *r, r1_buf *q, const char **unit)
{
    double s = draw(r, 20, 999, 0), t = draw(r, 2, 60, 1);
    r1_buf_printf(q, "A cyclist covers %g m in %g s at constant speed. How fast is that?", s,
                  t);
    *unit = "m/s";
    return s / t;
}

static double force(r1_rng *r, r1_buf *q, const char **unit)
{
    double m = draw(r, 1, 99, 1), a = draw(r, 0.2, 9.9, 1);
    r1_buf_printf(q, "A body of %g kg is accelerated at %g m/s^2. How large is the force?", m,
                  a);
    *unit = "N";
    return m * a;
}

static double ohm(r1_rng *r, r1_buf *q, const char **unit)
{
    double resistance = draw(r, 2, 470, 0), current = draw(r, 0.05, 3, 2);
    r1_buf_printf(q,
                  "A current of %g A flows through a resistor of %g ohm. What is the voltage?",
                  current, resistance);
    *unit = "V";
    return resistance * current;
}

static double density(r1_rng *r, r1_buf *q, const char **unit)
{
    double m = draw(r, 20, 999, 0), v = draw(r, 5, 200, 0);
    r1_buf_printf(q, "A stone of %g g has a volume of %g cm^3. What is its density?", m, v);
    *unit = "g/cm^3";
    return m / v;
}

static double distance(r1_rng *r, r1_buf *q, const char **unit)
{
    double v = draw(r, 20, 160, 0), t = draw(r, 3, 90, 0);
    r1_buf_printf(q, "A train runs at %g km/h for %g min. How far does it get?", v, t);
    *unit = "km";
    return v * t / 60;
}

static double charge(r1_rng *r, r1_buf *q, const char **unit)
{
    double i = draw(r, 20, 900, 0), t = draw(r, 2, 59, 0);
    r1_buf_printf(q, "A current of %g mA flows for %g min. What charge is that?", i, t);
    *unit = "C";
    return i / 1000 * t * 60;
}

static double energy_used(r1_rng *r, r1_buf *q, const char **unit)
{
    double p = draw(r, 40, 2400, 0), t = draw(r, 5, 300, 0);
    r1_buf_printf(q, "A heater of %g W runs for %g min. How much energy does it use?", p, t);
    *unit = "kJ";
    return p * t * 60 / 1000;
}

static double pressure(r1_rng *r, r1_buf *q, const char **unit)
{
    double f = draw(r, 50, 990, 0), a = draw(r, 5, 400, 0);
    r1_buf_printf(q, "A force of %g N acts evenly on an area of %g cm^2. What is the pressure?",
                  f, a);
    *unit = "kPa";
    return f / (a * 1e-4) / 1000;
}

static double kinetic(r1_rng *r, r1_buf *q, const char **unit)
{
    double m = draw(r, 0.7, 20, 1), v = draw(r, 18, 140, 0);
    r1_buf_printf(q, "What is the kinetic energy of a lorry of %g t that drives at %g km/h?", m,
                  v);
    *unit = "kJ";
    return 0.5 * m * (v / 3.6) * (v / 3.6);
}

static double heat(r1_rng *r, r1_buf *q, const char **unit)
{
    double m = draw(r, 100, 3000, 0), from = draw(r, 5, 40, 0), rise = draw(r, 5, 55, 0);
    r1_buf_printf(
        q,
        "How much heat takes it to warm %g g of water from %g to %g degrees Celsius? Its "
        "specific heat capacity is 4.19 kJ/(kg K).",
        m, from, from + rise);
    *unit = "kJ";
    return m / 1000 * 4.19 * rise;
}

static double lift(r1_rng *r, r1_buf *q, const char **unit)
{
    double m = draw(r, 50, 990, 0), h = draw(r, 2, 60, 0), t = draw(r, 5, 90, 0);
    r1_buf_printf(
        q,
        "A crane lifts %g kg by %g m in %g s at constant speed. What is its power? Take "
        "g = 9.81 m/s^2.",
        m, h, t);
    *unit = "kW";
    return m * 9.81 * h / t / 1000;
}

static double brake(r1_rng *r, r1_buf *q, const char **unit)
{
    double v = draw(r, 20, 180, 0), a = draw(r, 2, 9, 1);
    r1_buf_printf(
        q,
        "A car at %g km/h brakes at a constant %g m/s^2. How far does it get until it "
        "stands?",
        v, a);
    *unit = "m";
    return v / 3.6 * v / 3.6 / (2 * a);
}

static double parallel(r1_rng *r, r1_buf *q, const char **unit)
{
    double a = draw(r, 10, 990, 0), b = draw(r, 10, 990, 0), u = draw(r, 5, 60, 0);
    r1_buf_printf(
        q,
        "Resistors of %g ohm and %g ohm in parallel are connected to %g V. What current "
        "do they draw together?",
        a, b, u);
    *unit = "mA";
    return 1000 * u * (1 / a + 1 / b);
}

static double fall(r1_rng *r, r1_buf *q, const char **unit)
{
    double h = draw(r, 2, 120, 1), m = draw(r, 0.2, 9, 1);
    r1_buf_printf(q,
                  "A ball of %g kg falls from rest through %g m, without drag. With what speed "
                  "does it arrive? Take g = 9.81 m/s^2.",
                  m, h);
    *unit = "km/h";
    return sqrt(2 * 9.81 * h) * 3.6;
}

static double mixing(r1_rng *r, r1_buf *q, const char **unit)
{
    double m = draw(r, 50, 900, 0), n = draw(r, 50, 900, 0), hot = draw(r, 50, 95, 0),
           cold = draw(r, 5, 30, 0);
    r1_buf_printf(
        q,
        "%g g of water at %g degrees Celsius are mixed with %g g at %g degrees. No heat "
        "is lost. By how many kelvin does the colder water warm up?",
        m, hot, n, cold);
    *unit = "K";
    return m * (hot - cold) / (m + n);
}

static double kettle(r1_rng *r, r1_buf *q, const char **unit)
{
    double v = draw(r, 0.3, 2.5, 1), rise = draw(r, 40, 90, 0), p = draw(r, 0.8, 3, 1),
           efficiency = draw(r, 60, 95, 0);
    r1_buf_printf(
        q,
        "A kettle of %g kW passes %g %% of its power on to %g L of water. How long does "
        "it take to warm the water by %g K? A litre of water has 1 kg, its specific heat "
        "capacity is 4.19 kJ/(kg K).",
        p, efficiency, v, rise);
    *unit = "s";
    return v * 4.19 * rise / (p * efficiency / 100);
}

static double slope(r1_rng *r, r1_buf *q, const char **unit)
{
    double m = draw(r, 20, 900, 0), v = draw(r, 5, 90, 0), h = draw(r, 2, 90, 0),
           t = draw(r, 5, 90, 0);
    r1_buf_printf(
        q,
        "A motor brings a cart of %g kg from rest to %g km/h and %g m up a hill within "
        "%g s. What is its mean power, without friction? Take g = 9.81 m/s^2.",
        m, v, h, t);
    *unit = "W";
    return (0.5 * m * v / 3.6 * v / 3.6 + m * 9.81 * h) / t;
}

static bool make_physics(r1_rng *r, int level, r1_problem *out)
{
    static const struct {
        int n;
        question of[5];
    } levels[] = {
        {1, {convert}},
        {4, {speed, force, ohm, density}},
        {4, {distance, charge, energy_used, pressure}},
        {4, {kinetic, heat, lift, parallel}},
        {5, {brake, fall, mixing, kettle, slope}},
    };
    r1_buf q;
    const char *unit = "";
    r1_buf_init(&q, 0);
    double value =
        levels[level - 1].of[r1_gen_between(r, 0, levels[level - 1].n - 1)](r, &q, &unit);
    return ask(out, &q, value, unit);
}

/* ---- Stoichiometry: reactions that are drawn --------------------------------------------- */

enum { MAX_SUBSTANCES = 4, FORMULA = 32 };

typedef struct {
    int left, n; /* substances consumed, and all */
    char formula[MAX_SUBSTANCES][FORMULA];
    int64_t times[MAX_SUBSTANCES];
} reaction;

static const struct {
    const char *symbol;
    double mass; /* g/mol */
} elements[] = {
    {"H", 1.008},   {"C", 12.011},  {"N", 14.007},  {"O", 15.999},  {"S", 32.06},
    {"P", 30.974},  {"F", 18.998},  {"Cl", 35.45},  {"Br", 79.904}, {"I", 126.90},
    {"Li", 6.94},   {"Na", 22.990}, {"K", 39.098},  {"Mg", 24.305}, {"Ca", 40.078},
    {"Ba", 137.33}, {"Al", 26.982}, {"Fe", 55.845}, {"Zn", 65.38},  {"Cr", 51.996},
    {"Ni", 58.693}, {"Mn", 54.938}, {"Sr", 87.62},
};

static const struct {
    const char *symbol;
    int charge;
} metals[] = {{"Li", 1}, {"Na", 1}, {"K", 1},  {"Mg", 2}, {"Ca", 2}, {"Ba", 2}, {"Zn", 2},
              {"Fe", 3}, {"Al", 3}, {"Cr", 3}, {"Ni", 2}, {"Mn", 2}, {"Sr", 2}};
static const struct {
    const char *rest; /* of the acid, as an ion */
    int charge;
    bool group; /* of several atoms */
} acids[] = {{"Cl", 1, false}, {"Br", 1, false}, {"NO3", 1, true},
             {"SO4", 2, true}, {"PO4", 3, true}, {"ClO3", 1, true},
             {"SO3", 2, true}, {"I", 1, false},  {"C2H3O2", 1, true}};
enum { N_METALS = sizeof metals / sizeof *metals, N_ACIDS = sizeof acids / sizeof *acids };

/* "Al2(SO4)3": so many of one and of the other part. */
static void put_formula(char out[FORMULA], const char *a, int n, const char *b, bool group,
                        int m)
{
    char count[12] = "", other[12] = "";
    if (n > 1)
        snprintf(count, sizeof count, "%d", n);
    if (m > 1)
        snprintf(other, sizeof other, "%d", m);
    bool enclosed = group && m > 1;
    int length = snprintf(out, FORMULA, "%s%s%s%s%s%s", a, count, enclosed ? "(" : "", b,
                          enclosed ? ")" : "", other);
    r1_assert(length < FORMULA);
}

static void add(reaction *x, const char *formula, int64_t times)
{
    r1_assert(x->n < MAX_SUBSTANCES);
    r1_assert(strlen(formula) < FORMULA);
    memcpy(x->formula[x->n], formula, strlen(formula) + 1);
    x->times[x->n++] = times;
}

static void reduce(reaction *x)
{
    int64_t g = 0;
    for (int i = 0; i < x->n; i++)
        g = r1_gen_gcd(x->times[i], g);
    for (int i = 0; i < x->n; i++)
        x->times[i] /= g;
}

/* CxHyOz + O2 -> CO2 + H2O, everything times 4 and then reduced. */
static bool combustion(r1_rng *r, reaction *out)
{
    int x = r1_gen_between(r, 1, 20), y = r1_gen_between(r, 1, x + 1) * 2;
    int z = r1_gen_between(r, 0, 4), need = 4 * x + y - 2 * z;
    char carbon[FORMULA], fuel[FORMULA];
    if (need <= 0)
        return false;
    put_formula(carbon, "C", x, "H", false, y);
    put_formula(fuel, carbon, 1, z ? "O" : "", false, z);
    *out = (reaction){.left = 2};
    add(out, fuel, 4);
    add(out, "O2", need);
    add(out, "CO2", 4 * x);
    add(out, "H2O", 2 * y);
    reduce(out);
    return true;
}

/* M(OH)m + HaX -> MX + H2O, or M + HaX -> MX + H2 */
static bool with_acid(r1_rng *r, bool base, reaction *out)
{
    int i = r1_gen_between(r, 0, N_METALS - 1), k = r1_gen_between(r, 0, N_ACIDS - 1);
    int m = metals[i].charge, a = acids[k].charge;
    int g = (int)r1_gen_gcd(m, a), lcm = m * a / g;
    char first[FORMULA], acid[FORMULA], salt[FORMULA];
    put_formula(first, metals[i].symbol, 1, base ? "OH" : "", base, base ? m : 1);
    put_formula(acid, "H", a, acids[k].rest, false, 1);
    put_formula(salt, metals[i].symbol, lcm / m, acids[k].rest, acids[k].group, lcm / a);
    *out = (reaction){.left = 2};
    add(out, first, 2 * lcm / m);
    add(out, acid, 2 * lcm / a);
    add(out, salt, 2);
    add(out, base ? "H2O" : "H2", base ? 2 * lcm : lcm);
    reduce(out);
    return true;
}

/* M + O2 -> the oxide */
static bool oxidation(r1_rng *r, reaction *out)
{
    int i = r1_gen_between(r, 0, N_METALS - 1), m = metals[i].charge;
    char oxide[FORMULA];
    put_formula(oxide, metals[i].symbol, m % 2 ? 2 : 1, "O", false, m % 2 ? m : m / 2);
    *out = (reaction){.left = 2};
    add(out, metals[i].symbol, 4);
    add(out, "O2", m);
    add(out, oxide, m % 2 ? 2 : 4);
    reduce(out);
    return true;
}

/* MX + NY -> MY + NX: two salts change partners; no common part. */
static bool exchange(r1_rng *r, reaction *out)
{
    int i[2], k[2];
    r1_gen_choose(r, N_METALS, 2, i);
    r1_gen_choose(r, N_ACIDS, 2, k);
    int charge[4] = {metals[i[0]].charge, acids[k[0]].charge, metals[i[1]].charge,
                     acids[k[1]].charge};
    char salt[2][2][FORMULA];
    int lcm[2][2], all = 1;
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
            int m = charge[2 * a], x = charge[2 * b + 1];
            int l = m * x / (int)r1_gen_gcd(m, x);
            lcm[a][b] = l;
            put_formula(salt[a][b], metals[i[a]].symbol, l / m, acids[k[b]].rest,
                        acids[k[b]].group, l / x);
            all = all * l / (int)r1_gen_gcd(all, l);
        }
    *out = (reaction){.left = 2};
    /* As many charges on each side of both exchanges. */
    for (int a = 0; a < 2; a++)
        add(out, salt[a][a], all / lcm[a][a]);
    for (int a = 0; a < 2; a++)
        add(out, salt[a][1 - a], all / lcm[a][1 - a]);
    reduce(out);
    return true;
}

static bool draw_reaction(r1_rng *r, int level, reaction *out)
{
    switch (r1_gen_between(r, 0, level <= 2 ? 3 : 4)) {
    case 0: return level <= 2 ? oxidation(r, out) : exchange(r, out);
    case 1: return with_acid(r, false, out);
    case 2: return with_acid(r, true, out);
    case 3: return combustion(r, out);
    default: return exchange(r, out);
    }
}

/* ---- Stoichiometry: questions ------------------------------------------------------------ */

/* Grams of a mole; bit i of *used: element i is in it. */
static double mass_of(const char *formula, unsigned *used)
{
    r1_science_atoms atoms;
    double sum = 0;
    r1_assert(r1_science_formula(formula, strlen(formula), &atoms));
    for (int k = 0; k < atoms.n; k++) {
        size_t i = 0;
        while (strcmp(elements[i].symbol, atoms.symbol[k]) != 0)
            r1_assert(++i < sizeof elements / sizeof *elements);
        sum += elements[i].mass * (double)atoms.count[k];
        *used |= 1u << i;
    }
    return sum;
}

static void put_masses(r1_buf *q, unsigned used)
{
    r1_buf_puts(q, " Molar masses in g/mol:");
    bool first = true;
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (used >> i & 1) {
            r1_buf_printf(q, "%s %s %g", first ? "" : ",", elements[i].symbol,
                          elements[i].mass);
            first = false;
        }
    r1_buf_putc(q, '.');
}

static void put_reaction(r1_buf *b, const reaction *x, bool times)
{
    for (int i = 0; i < x->n; i++) {
        r1_buf_puts(b, i == 0 ? "" : i == x->left ? " -> " : " + ");
        if (times && x->times[i] > 1)
            r1_buf_printf(b, "%lld ", (long long)x->times[i]);
        r1_buf_puts(b, x->formula[i]);
    }
}

static bool ask_moles(r1_rng *r, const reaction *x, r1_problem *out)
{
    unsigned used = 0;
    const char *formula = x->formula[r1_gen_between(r, 0, x->n - 1)];
    double mass = mass_of(formula, &used), n = draw(r, 0.05, 9, 2);
    r1_buf q;
    r1_buf_init(&q, 0);
    bool grams = r1_gen_chance(r, 50);
    if (grams)
        r1_buf_printf(&q, "What is the mass of %g mol of %s?", n, formula);
    else
        r1_buf_printf(&q, "How many moles are %g g of %s?", n * 10, formula);
    put_masses(&q, used);
    return ask(out, &q, grams ? n * mass : n * 10 / mass, grams ? "g" : "mol");
}

static bool ask_balance(const reaction *x, r1_problem *out)
{
    r1_buf q, solution;
    json_t *left = json_array(), *right = json_array();
    int failed = 0;
    r1_buf_init(&q, 0);
    r1_buf_init(&solution, 0);
    r1_buf_puts(&q, "Balance this reaction with the smallest whole numbers:\n");
    put_reaction(&q, x, false);
    put_reaction(&solution, x, true);
    for (int i = 0; i < x->n; i++)
        failed |= json_array_append_new(i < x->left ? left : right, json_string(x->formula[i]));
    r1_assert(!failed);
    r1_gen_finish(out, &q, "the balanced reaction", "2 H2 + O2 -> 2 H2O",
                  json_pack("{s:o,s:o}", "left", left, "right", right), "balance",
                  solution.data);
    r1_buf_release(&solution);
    return true;
}

/* From the mass of one substance to that of another; `limit`: both reactants are given, and the
 * one that is used up first decides. */
static bool ask_mass(r1_rng *r, const reaction *x, bool limit, r1_problem *out)
{
    unsigned used = 0;
    int product = r1_gen_between(r, x->left, x->n - 1);
    double m[2], moles = 1e9;
    for (int i = 0; i < 2; i++) {
        m[i] = draw(r, 1, 90, 1);
        double n = m[i] / mass_of(x->formula[i], &used) / (double)x->times[i];
        if (limit || i == 0)
            moles = n < moles ? n : moles;
    }
    double value = moles * (double)x->times[product] * mass_of(x->formula[product], &used);
    r1_buf q;
    r1_buf_init(&q, 0);
    r1_buf_puts(&q, "Consider this reaction, which is not balanced yet:\n");
    put_reaction(&q, x, false);
    if (limit)
        r1_buf_printf(&q, "\n%g g of %s and %g g of %s react until one of them is used up.",
                      m[0], x->formula[0], m[1], x->formula[1]);
    else
        r1_buf_printf(&q, "\n%g g of %s react completely.", m[0], x->formula[0]);
    r1_buf_printf(&q, " What mass of %s forms?", x->formula[product]);
    put_masses(&q, used);
    return ask(out, &q, value, "g");
}

static bool make_stoichiometry(r1_rng *r, int level, r1_problem *out)
{
    reaction x;
    if (!draw_reaction(r, level, &x))
        return false;
    switch (level) {
    case 1: return ask_moles(r, &x, out);
    case 2:
    case 3: return ask_balance(&x, out);
    case 4: return ask_mass(r, &x, false, out);
    default: return ask_mass(r, &x, true, out);
    }
}

/* ---- The tasks --------------------------------------------------------------------------- */

const r1_task r1_gen_science_physics = {
    .name = "physics",
    .help = "quantities with units: conversions to problems of several steps",
    .verifier = "quantity",
    .max_tokens = 2048,
    .levels = R1_GEN_LEVELS,
    .make = make_physics,
};
const r1_task r1_gen_science_stoichiometry = {
    .name = "stoichiometry",
    .help = "moles, balanced reactions, masses, limiting reactants",
    .verifier = "balance",
    .max_tokens = 2048,
    .levels = R1_GEN_LEVELS,
    .make = make_stoichiometry,
};
