//! Distributions, as far as significance needs them. Floats for people: nothing is decided by them.
//!
//! The error function and the logarithm of gamma are `libm`'s. What stands here are the two continued fractions of the
//! NIST Digital Library of Mathematical Functions (DLMF, <https://dlmf.nist.gov>), evaluated by the method of Lentz as
//! Thompson and Barnett give it ("Coulomb and Bessel functions of complex arguments and order", J. Comput. Phys. 64, 1986).

/// Steps of a series or fraction at the most. For what is asked here tens are enough.
const STEPS_MAX: u32 = 10_000;

/// When a further step changes nothing.
const SMALL: f64 = 1e-15;

/// What stands for zero in a denominator.
const TINY: f64 = 1e-300;

/// How likely a standard normal variable lies at least so far from 0, on either side: `2 (1 - Phi(|z|))`.
pub fn normal_both_sides(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// How likely a chi-square variable is at least `x`: the regularised upper incomplete gamma function Q(df/2, x/2), by the
/// series of DLMF 8.11.4 below its bend and the fraction of DLMF 8.9.2 above.
pub fn chi_square_above(x: f64, degrees: f64) -> f64 {
    let (a, x) = (degrees / 2.0, x / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..STEPS_MAX {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * SMALL {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut h = d;
    for step in 1..STEPS_MAX {
        let n = f64::from(step);
        let an = -n * (n - a);
        b += 2.0;
        d = 1.0 / not_zero(an * d + b);
        c = not_zero(b + an / c);
        let change = c * d;
        h *= change;
        if (change - 1.0).abs() < SMALL {
            break;
        }
    }
    (front * h).clamp(0.0, 1.0)
}

/// How likely Student's t lies at least so far from 0, on either side: I(df/(df+t^2); df/2, 1/2) (DLMF 8.17).
pub fn student_both_sides(t: f64, degrees: f64) -> f64 {
    beta(degrees / (degrees + t * t), degrees / 2.0, 0.5)
}

/// The t of which [`student_both_sides`] is `p`, by bisection.
pub fn student_quantile(p: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_both_sides(high, degrees) > p && high < 1e12 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if student_both_sides(middle, degrees) > p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function I(x; a, b), by the fraction of DLMF 8.17.22.
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (1.0 - x).ln();
    // The fraction converges fast on this side of the mean; the other is its mirror (DLMF 8.17.4).
    if x < (a + 1.0) / (a + b + 2.0) {
        (front.exp() * beta_fraction(x, a, b) / a).clamp(0.0, 1.0)
    } else {
        (1.0 - front.exp() * beta_fraction(1.0 - x, b, a) / b).clamp(0.0, 1.0)
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let (mut c, mut d) = (1.0, 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut h = d;
    for step in 1..STEPS_MAX {
        let n = f64::from(step);
        let even = n * (b - n) * x / ((a + 2.0 * n - 1.0) * (a + 2.0 * n));
        d = 1.0 / not_zero(1.0 + even * d);
        c = not_zero(1.0 + even / c);
        h *= d * c;
        let odd = -(a + n) * (a + b + n) * x / ((a + 2.0 * n) * (a + 2.0 * n + 1.0));
        d = 1.0 / not_zero(1.0 + odd * d);
        c = not_zero(1.0 + odd / c);
        let change = d * c;
        h *= change;
        if (change - 1.0).abs() < SMALL {
            break;
        }
    }
    h
}

fn not_zero(value: f64) -> f64 {
    if value.abs() < TINY { TINY } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-10 * expected.abs().max(1e-3), "{found}, not {expected}");
    }

    #[test]
    fn distributions_are_what_the_tables_say() {
        // Critical values of the standard tables, to 16 digits; and what is known in closed form.
        near(normal_both_sides(1.959963984540054), 0.05);
        near(normal_both_sides(-2.5758293035489004), 0.01);
        near(normal_both_sides(0.0), 1.0);
        for (x, degrees) in [(3.841458820694124, 1.0), (5.991464547107979, 2.0), (18.307038053275146, 10.0)] {
            near(chi_square_above(x, degrees), 0.05);
        }
        near(chi_square_above(124.34211340400407, 100.0), 0.05);
        near(chi_square_above(6.0, 2.0), (-3.0_f64).exp());
        near(chi_square_above(0.5, 1.0), libm::erfc(0.5));
        near(chi_square_above(0.0, 3.0), 1.0);
        for (t, degrees) in
            [(12.706204736432095, 1.0), (2.2281388519649385, 10.0), (1.9839715185235518, 100.0)]
        {
            near(student_both_sides(t, degrees), 0.05);
            near(student_quantile(0.05, degrees), t);
        }
        near(beta(0.5, 2.0, 3.0), 0.6875);
        near(beta(0.25, 0.5, 0.5), 1.0 / 3.0);
    }
}
