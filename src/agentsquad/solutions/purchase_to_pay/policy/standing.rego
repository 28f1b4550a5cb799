# What stands against a whole case before any invoice is matched: who the partner is, whether there
# is an order and a receipt, whether the vendor may be paid at all, what came late.
package p2p.standing

import data.p2p.credit
import data.p2p.screening

result := {"exceptions": exceptions, "disposition": disposition}

default disposition := "pay"

disposition := "hold" if {
	some one in exceptions
	one.disposition == "hold"
}

exceptions contains mark("unknown_partner", "hold", "the sender is not on the vendor master") if {
	not input.vendor_known
}

exceptions contains mark("sanctioned_vendor", "hold", sprintf("%q matches %q on the sanctions list", [input.screening.name, input.screening.listed])) if {
	input.screening.score >= screening.hold
}

exceptions contains mark("missing_order", "hold", "no order of this number was sent") if {
	input.vendor_known
	input.invoices > 0
	not input.has_order
}

exceptions contains mark("order_cancelled", "hold", "the order was cancelled") if {
	input.invoices > 0
	input.cancelled
}

exceptions contains mark("order_refused", "hold", "the vendor refused the order, then billed it") if {
	input.invoices > 0
	input.refused
}

exceptions contains mark("missing_receipt", "hold", "billed, but no ship notice came") if {
	input.vendor_known
	input.has_order
	input.invoices > 0
	input.shipments == 0
}

exceptions contains mark("split_shipment", "pay", sprintf("came in %v shipments", [input.shipments])) if {
	input.shipments > 1
}

exceptions contains object.union(mark("late_credit_note", "pay", sprintf("credit note %v days after the invoice", [note.days])), {"invoice": note.number}) if {
	some note in input.credits
	note.days > credit.late_days
}

mark(kind, disposition, because) := {
	"kind": kind,
	"disposition": disposition,
	"because": because,
	"clause": concat(".", ["p2p.standing", kind]),
}
