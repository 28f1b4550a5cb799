# What changes something, called from afar: access was asked before (roles.rego); what roles are
# held is asked here once more, so that no surface that forgot to ask opens a door. Locally the owner
# of the files acts: there is no surface, and the rules of each room say who.
package access.afar

import data.access.roles

actions := {
	"runs.start", "runs.resume", "runs.cancel", "runs.signal", "runs.adopt", "runs.restart",
	"runs.retry", "runs.skip", "runs.patch", "runs.fail", "runs.compensate", "runs.update",
	"runs.export_test", "approvals.approve", "approvals.reject", "effects.resolve",
	"control.halt", "control.lift", "interventions.make", "schedules.pause",
	"schedules.continue", "schedules.backfill", "messages.publish", "messages.deliver",
	"messages.redeliver", "resources.apply", "resources.put", "resources.delete",
	"deployments.deploy", "deployments.retire", "budget.set", "budget.release",
	"breakers.open", "breakers.close", "transactions.recover", "drift.baseline",
	"log.erase", "log.checkpoint", "log.export", "log.rotate_key", "attest.prove",
	"namespaces.create", "namespaces.delete",
}

afar if input.facts.surface

allow contains {"clause": "access.afar.role", "reason": "a role allows it"} if {
	afar
	roles.permits(input.roles, input.action, input.effect)
}

deny contains {"clause": "access.afar.no_role", "reason": "no role held here allows it"} if {
	afar
	not roles.permits(input.roles, input.action, input.effect)
}
