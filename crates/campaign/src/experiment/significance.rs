//! Whether arms differ by more than chance. For reading alone: records hold counts, and no float decides anything.
//!
//! **The p-values and intervals of [`shares`] and [`means`] are for one look.** They hold if the time or the number of
//! participants at which the experiment ends was fixed before it began, and one comparison is read. Who looks again and
//! again and stops at the first small p finds differences that are not there (Johari, Koomen, Pekelis, Walsh, "Peeking at
//! A/B tests", KDD 2017). For looking at any time there is [`always_valid`], for shares; for means there is none yet.
//! Several arms or goals are several chances to err; nothing here corrects for that.

use super::special::{chi_square_above, normal_both_sides, student_both_sides, student_quantile};

/// The quantile of 95 %: 1.96.
const Z: f64 = 1.959_963_984_540_054;

/// Standard deviation of the differences between shares that [`always_valid`] is tuned to find: two percent points. Fixed
/// for ever: the p-value is valid under any that was chosen before, and most powerful for differences about this large.
const MIXING_SD: f64 = 0.02;

/// Below this the shares of participants in the arms are not those that were asked for. Small, because the question is
/// asked of every experiment (Fabijan and others, "Diagnosing sample ratio mismatch in online controlled experiments",
/// KDD 2019).
pub const MISMATCH: f64 = 0.001;

/// Smallest count to be expected from which on the distribution of [`fit`] is that of chi-square (Cochran, "Some methods for
/// strengthening the common chi-square tests", Biometrics 10, 1954).
pub const EXPECTED_MIN: f64 = 5.0;

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// How many did it.
    pub of: f64,
    /// How many could.
    pub all: f64,
}

impl Share {
    /// The share itself; 0 of none is 0.
    pub fn value(self) -> f64 {
        if self.all > 0.0 { self.of / self.all } else { 0.0 }
    }

    /// The score interval of 95 % (Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22,
    /// 1927).
    pub fn interval(self) -> (f64, f64) {
        if self.all <= 0.0 {
            return (0.0, 1.0);
        }
        let (p, n, z2) = (self.value(), self.all, Z * Z);
        let middle = 2.0 * n * p + z2;
        let reach = Z * (z2 + 4.0 * n * p * (1.0 - p)).sqrt();
        let whole = 2.0 * (n + z2);
        (((middle - reach) / whole).max(0.0), ((middle + reach) / whole).min(1.0))
    }

    /// Variance of the share as an estimate.
    fn variance(self) -> f64 {
        self.value() * (1.0 - self.value()) / self.all
    }
}

/// Values of many, by how many, their sum, and the sum of their squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// How many.
    pub all: f64,
    /// Their sum.
    pub total: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Values {
    /// Their mean; that of none is 0.
    pub fn mean(self) -> f64 {
        if self.all > 0.0 { self.total / self.all } else { 0.0 }
    }

    /// Their variance, as an estimate from a sample.
    pub fn variance(self) -> f64 {
        if self.all < 2.0 {
            return 0.0;
        }
        ((self.squares - self.total * self.mean()) / (self.all - 1.0)).max(0.0)
    }
}

/// How far apart two arms are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The other arm less the control.
    pub difference: f64,
    /// Its interval of 95 %.
    pub interval: (f64, f64),
    /// How likely a difference at least so large would be if there were none; `None` where the data cannot say.
    pub p: Option<f64>,
}

/// Two shares: the interval from score intervals without continuity correction (Newcombe, "Interval estimation for the
/// difference between independent proportions", Statist. Med. 17, 1998, method 10), and the pooled two-proportion z-test.
pub fn shares(control: Share, other: Share) -> Difference {
    let (p1, p2) = (other.value(), control.value());
    let ((low1, high1), (low2, high2)) = (other.interval(), control.interval());
    let difference = p1 - p2;
    let low = difference - (p1 - low1).hypot(high2 - p2);
    let high = difference + (high1 - p1).hypot(p2 - low2);
    let all = control.all + other.all;
    let pooled = (control.of + other.of) / all;
    let variance = pooled * (1.0 - pooled) * (1.0 / control.all + 1.0 / other.all);
    let p = (variance > 0.0 && variance.is_finite()).then(|| normal_both_sides(difference / variance.sqrt()));
    Difference { difference, interval: (low, high), p }
}

/// Two means: Welch's t (Welch, "The generalization of Student's problem when several different population variances are
/// involved", Biometrika 34, 1947), with the degrees of freedom of Satterthwaite (Biometrics 2, 1946). `None` where an arm
/// has fewer than two values, or nothing varies.
pub fn means(control: Values, other: Values) -> Option<Difference> {
    if control.all < 2.0 || other.all < 2.0 {
        return None;
    }
    let (v1, v2) = (control.variance() / control.all, other.variance() / other.all);
    let variance = v1 + v2;
    if variance <= 0.0 {
        return None;
    }
    let degrees = variance * variance / (v1 * v1 / (control.all - 1.0) + v2 * v2 / (other.all - 1.0));
    let difference = other.mean() - control.mean();
    let reach = student_quantile(0.05, degrees) * variance.sqrt();
    let p = student_both_sides(difference / variance.sqrt(), degrees);
    Some(Difference { difference, interval: (difference - reach, difference + reach), p: Some(p) })
}

/// A p-value for two shares that may be looked at any time: the mixture sequential probability ratio test with a normal
/// mixture (Johari, Koomen, Pekelis, Walsh, "Always valid inference", Operations Research 70, 2022; Robbins, "Statistical
/// methods related to the law of the iterated logarithm", Ann. Math. Statist. 41, 1970), on the normal approximation of
/// the difference. Rejecting when it first falls below alpha errs in at most alpha of all experiments without a difference.
/// It is larger than that of [`shares`]: that is the price of looking.
pub fn always_valid(control: Share, other: Share) -> Option<f64> {
    let variance = control.variance() + other.variance();
    if !(variance > 0.0 && variance.is_finite()) {
        return None;
    }
    let (difference, mixing) = (other.value() - control.value(), MIXING_SD * MIXING_SD);
    let exponent = difference * difference * mixing / (2.0 * variance * (variance + mixing));
    let ratio = (variance / (variance + mixing)).sqrt() * exponent.exp();
    Some((1.0 / ratio).min(1.0))
}

/// The smallest count to be expected of so many under shares.
pub fn expected_min(counts: &[f64], shares: &[f64]) -> f64 {
    let (all, whole): (f64, f64) = (counts.iter().sum(), shares.iter().sum());
    shares.iter().map(|share| all * share / whole).fold(f64::INFINITY, f64::min)
}

/// Whether counts are as likely as the shares they were asked for: Pearson's chi-square statistic and its degrees of
/// freedom (Pearson, Phil. Mag. 50, 1900). Statistics of several periods are added, and so are their degrees.
pub fn fit(counts: &[f64], shares: &[f64]) -> (f64, f64) {
    let (all, whole): (f64, f64) = (counts.iter().sum(), shares.iter().sum());
    let mut statistic = 0.0;
    for (count, share) in counts.iter().zip(shares) {
        let expected = all * share / whole;
        if expected > 0.0 {
            statistic += (count - expected) * (count - expected) / expected;
        }
    }
    (statistic, counts.len().saturating_sub(1) as f64)
}

/// The p-value of what [`fit`] says.
pub fn fit_p((statistic, degrees): (f64, f64)) -> f64 {
    if degrees > 0.0 { chi_square_above(statistic, degrees) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(of: u32, all: u32) -> Share {
        Share { of: of.into(), all: all.into() }
    }

    fn near(found: f64, expected: f64, digits: i32) {
        assert!((found - expected).abs() < 0.5001 * 10_f64.powi(-digits), "{found}, not {expected}");
    }

    #[test]
    fn intervals_are_those_that_newcombe_published() {
        // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        for (of, all, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = share(of, all).interval();
            near(found.0, low, 4);
            near(found.1, high, 4);
        }
        // Newcombe 1998, differences, table II, method 10.
        for (one, two, low, high) in [
            (share(56, 70), share(48, 80), 0.0524, 0.3339),
            (share(9, 10), share(3, 10), 0.1705, 0.8090),
            (share(5, 56), share(0, 29), -0.0381, 0.1926),
            (share(0, 10), share(0, 20), -0.1611, 0.2775),
            (share(10, 10), share(0, 10), 0.6075, 1.0),
        ] {
            let found = shares(two, one);
            near(found.interval.0, low, 4);
            near(found.interval.1, high, 4);
        }
    }

    #[test]
    fn the_test_of_two_shares_is_pearsons_of_their_table() {
        // For a table of two by two, z squared is the chi-square statistic without correction.
        let (control, other) = (share(48, 80), share(56, 70));
        let p = shares(control, other).p.expect("a p-value");
        let cells = [(48.0, 104.0 * 80.0), (32.0, 46.0 * 80.0), (56.0, 104.0 * 70.0), (14.0, 46.0 * 70.0)];
        let statistic: f64 = cells
            .iter()
            .map(|(seen, margin): &(f64, f64)| (seen - margin / 150.0).powi(2) / (margin / 150.0))
            .sum();
        near(p, chi_square_above(statistic, 1.0), 12);
        for nothing in [share(0, 0), share(0, 50), share(50, 50)] {
            assert_eq!(shares(nothing, nothing).p, None, "{nothing:?} says nothing");
        }
    }

    #[test]
    fn means_are_compared_as_r_compares_students_sleepers() {
        // Student 1908, as R's `t.test(extra ~ group, data = sleep)` prints it; in tenths of hours, and 16 more, so that
        // none is negative.
        let values = |hours: [i32; 10]| {
            let tenths = hours.map(|tenths| f64::from(tenths + 16));
            Values {
                all: 10.0,
                total: tenths.iter().sum(),
                squares: tenths.iter().map(|value| value * value).sum(),
            }
        };
        let (one, two) =
            (values([7, -16, -2, -12, -1, 34, 37, 8, 0, 20]), values([19, 8, 11, 1, -1, 44, 55, 16, 46, 34]));
        let found = means(two, one).expect("a difference");
        near(found.p.expect("a p-value"), 0.07939, 5);
        near(found.interval.0 / 10.0, -3.365_483, 6);
        near(found.interval.1 / 10.0, 0.205_483, 6);
        assert_eq!(means(one, Values { all: 1.0, total: 5.0, squares: 25.0 }), None);
        let same = Values { all: 9.0, total: 9.0, squares: 9.0 };
        assert_eq!(means(same, same), None, "nothing varies");
    }

    #[test]
    fn who_may_always_look_pays_for_it() {
        // By hand: the variance is the mixing variance, so the ratio is sqrt(1/2) exp(d^2 / (4 v)).
        let all = 0.5 / (MIXING_SD * MIXING_SD);
        let (control, other) = (Share { of: all / 2.0, all }, Share { of: all * 0.55, all });
        let v = control.variance() + other.variance();
        let mixing = MIXING_SD * MIXING_SD;
        let ratio = (v / (v + mixing)).sqrt() * (0.05_f64.powi(2) * mixing / (2.0 * v * (v + mixing))).exp();
        let p = always_valid(control, other).expect("a p-value");
        near(p, 1.0 / ratio, 12);
        assert!(p > shares(control, other).p.expect("a p-value"));
        assert_eq!(always_valid(share(5, 10), share(5, 10)), Some(1.0));
        assert_eq!(always_valid(share(0, 10), share(0, 10)), None);
    }

    #[test]
    fn a_mismatch_of_ratios_is_found_and_a_match_is_not() {
        // Fabijan and others 2019, section 1: 821588 and 815482 participants where half and half was asked for.
        let p = fit_p(fit(&[821_588.0, 815_482.0], &[0.5, 0.5]));
        assert!(p < 2e-6, "{p}");
        assert!(fit_p(fit(&[5_000.0, 5_050.0], &[1.0, 1.0])) > 0.5);
        near(fit_p(fit(&[60.0, 40.0], &[1.0, 1.0])), 0.0455, 4);
        near(fit_p(fit(&[0.0, 0.0], &[1.0, 1.0])), 1.0, 12);
    }
}
