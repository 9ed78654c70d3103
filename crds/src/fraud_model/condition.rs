//! Condition types and reasons, each spelled once. docs/operations.md explains every reason.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The word in the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }
    };
}

words! {
    /// The types of conditions. `Reconciling` and `Stalled` (kstatus) are there only while they are true.
    ConditionType {
        /// All that the spec asks for is there and serves.
        Ready,
        /// A version serves.
        Available,
        /// A version is on its way in or out.
        Progressing,
        /// The wanted version was fetched, checked and warmed up.
        ModelVerified,
        /// The certificate of the route is there.
        CertificateReady,
        /// The route is there.
        RouteReady,
        /// Labels are taken only from who has a token or a client certificate. Says nothing about Ready.
        FeedbackProtected,
        /// Work goes on (kstatus: abnormal-true).
        Reconciling,
        /// No progress without somebody's help (kstatus: abnormal-true).
        Stalled,
    }
}

words! {
    /// The closed list of reasons that the operator itself sets. `ModelVerified` also shows the scorer's own reasons.
    ConditionReason {
        /// Everything is as the spec asks.
        Reconciled,
        /// The stable version has ready pods.
        PodsReady,
        /// The stable version has no ready pod.
        NoReadyPods,
        /// No version serves yet.
        NoStableVersion,
        /// The wanted version is being started.
        Starting,
        /// The wanted version has the traffic; the one before is kept for a moment.
        Retiring,
        /// The wanted version has a share of the traffic and is judged.
        Canary,
        /// `spec.rollout.paused` keeps the wanted version where it is.
        Paused,
        /// A gate failed: the wanted version gets no traffic until its digest changes or a retry is asked for.
        RolledBack,
        /// Nothing is under way.
        Idle,
        /// The scorer loaded and checked the model.
        Verified,
        /// Pods can't be scheduled or started.
        PodsPending,
        /// The model can't be fetched or served; the message says why.
        VerificationFailed,
        /// The certificate is valid.
        Issued,
        /// cert-manager has not issued the certificate yet.
        NotIssued,
        /// The spec asks for no certificate.
        NotRequested,
        /// A Secret of yours is used; the operator does not read Secrets.
        UserProvided,
        /// The route is in place.
        Routed,
        /// The route waits for the certificate.
        CertificateNotReady,
        /// Another FraudModel has the host and path.
        HostTaken,
        /// An object of that name belongs to somebody else.
        NameTaken,
        /// Another field manager keeps changing a field of ours.
        FieldConflict,
        /// `/feedback` asks for a token, or for a client certificate.
        Protected,
        /// `/feedback` asks Traefik for a client certificate, and Traefik asks nobody.
        BehindTraefik,
        /// `/feedback` takes labels from whoever reaches it.
        Open,
        /// Traefik's kinds are not installed.
        TraefikMissing,
        /// cert-manager's kinds are not installed.
        CertManagerMissing,
        /// The spec is not valid; the message names the field.
        InvalidSpec,
        /// The API server refused a request of ours.
        Forbidden,
    }
}

/// Puts `new` into `conditions`: the transition time moves only when the status flips (API conventions).
pub fn upsert(conditions: &mut Vec<Condition>, mut new: Condition, now: Timestamp) {
    new.last_transition_time = Time(now);
    match conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: &str, reason: &str) -> Condition {
        Condition {
            type_: "Ready".into(),
            status: status.into(),
            reason: reason.into(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn the_transition_time_moves_only_on_a_flip() {
        let (first, second, third) = (
            Timestamp::from_second(100).unwrap(),
            Timestamp::from_second(200).unwrap(),
            Timestamp::from_second(300).unwrap(),
        );
        let mut conditions = vec![];
        upsert(&mut conditions, condition("False", "Starting"), first);
        upsert(&mut conditions, condition("False", "PodsPending"), second);
        assert_eq!(conditions[0].last_transition_time, Time(first));
        assert_eq!(conditions[0].reason, "PodsPending");
        upsert(&mut conditions, condition("True", "Reconciled"), third);
        assert_eq!(conditions[0].last_transition_time, Time(third));
        assert_eq!(conditions.len(), 1);
    }
}
