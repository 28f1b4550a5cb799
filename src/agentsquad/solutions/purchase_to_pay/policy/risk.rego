# How risky a payment is: points for what was found, for what an agent suspects, for a name that is
# nearly on the list. More points ask for more senior people; they never release anything.
package p2p.risk

import data.p2p.points
import data.p2p.level as level_of
import data.p2p.screening

result := {"score": score, "level": level, "reasons": sort(reasons)}

score := min([100, sum([weight | some weight in weights])])

weights[kind] := object.get(points, kind, 25) if some kind in input.exceptions

weights["suspicion"] := input.suspicion if input.suspicion > 0

weights["near_name"] := 30 if {
	input.screening_score >= screening.review
	input.screening_score < screening.hold
}

reasons contains kind if {
	some kind, weight in weights
	weight > 0
}

default level := "low"

level := "high" if score >= level_of.high

else := "elevated" if score >= level_of.elevated
