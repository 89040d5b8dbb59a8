//! The allowances that members have of what costs money. A feature takes from its own; here they stand together, so that
//! a member sees them all and an operator can grant a tenant another number.

use tenants::{Quota, quotas::hours};

/// Training plans that a member has generated.
pub const PLAN: Quota = Quota::per(5, hours(24), "plan.generate");
/// Analyses of a member's activities.
pub const ANALYSIS: Quota = Quota::per(10, hours(24), "analysis.run");
/// Suggestions that a member asks the coach's assistant for.
pub const SUGGESTIONS: Quota = Quota::per(20, hours(1), "coach.suggest");

/// All of them, as they are shown.
pub const ALL: [Quota; 3] = [PLAN, ANALYSIS, SUGGESTIONS];
/// Their names: an operator grants by them.
pub const NAMES: [&str; ALL.len()] = [PLAN.name, ANALYSIS.name, SUGGESTIONS.name];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowance_has_a_name_of_its_own() {
        assert_eq!(ALL.map(|quota| quota.name), NAMES);
        assert_eq!(std::collections::BTreeSet::from(NAMES).len(), NAMES.len());
    }
}
