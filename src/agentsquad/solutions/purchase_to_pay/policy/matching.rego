# What is wrong with one invoice, and how much of each line may be paid.
#
# Asked once an invoice with the numbers of the three-way match: quantities in thousandths of the
# order's unit, money in micro-units. Dispositions: "pay" notes a difference and pays, "short_pay"
# pays only the payable part, "hold" pays nothing of this invoice until a person has cleared it.
package p2p.matching

import data.p2p.amount
import data.p2p.tolerance

result := {
	"exceptions": exceptions,
	"disposition": disposition,
	"payable": {line.line: payable(line) | some line in input.lines},
}

default disposition := "pay"

disposition := "hold" if {
	some one in exceptions
	one.disposition == "hold"
} else := "short_pay" if {
	some one in exceptions
	one.disposition == "short_pay"
}

exceptions contains mark("changed_bank_account", "", "hold", "the account asked for is not the one on file") if {
	input.account_differs
}

exceptions contains mark("vendor_mismatch", "", "hold", "the sender is not the vendor of the order") if {
	not input.sender_is_vendor
}

exceptions contains mark("currency_mismatch", "", "hold", sprintf("invoiced in %s, ordered in %s", [input.currency, input.order_currency])) if {
	input.currency != input.order_currency
}

exceptions contains mark("duplicate_invoice", "", "hold", sprintf("asks again for what %s billed", [concat(", ", duplicates)])) if {
	count(duplicates) > 0
}

exceptions contains mark("item_not_ordered", line.line, "short_pay", "no line of the order matches") if {
	some line in input.lines
	line.paired == ""
}

exceptions contains mark("item_renamed", line.line, "pay", sprintf("paired with order line %s by description", [line.order_line])) if {
	some line in input.lines
	line.paired == "description"
}

exceptions contains mark("unit_mismatch", line.line, "pay", "another unit, the same goods and money after conversion") if {
	some line in input.lines
	line.unit_differs
	consistent(line)
}

exceptions contains mark("unit_mismatch", line.line, "hold", "another unit, and quantity or price do not agree after conversion") if {
	some line in input.lines
	line.unit_differs
	not consistent(line)
}

exceptions contains mark("price_drift", line.line, "hold", price_reason(line)) if {
	some line in comparable
	not price_within(line)
}

exceptions contains mark("over_delivery", line.line, "short_pay", "more came and was billed than ordered") if {
	count(duplicates) == 0
	some line in comparable
	over_ordered(line)
	received_over(line)
}

exceptions contains mark("short_shipment", line.line, "short_pay", "more was billed than came") if {
	count(duplicates) == 0
	some line in comparable
	over_received(line)
}

exceptions contains mark("tolerance_exceeded", "", "hold", sprintf("charges nobody agreed: %s %s, allowed %s", [amount.text(unplanned), input.currency, amount.text(charge_allowed)])) if {
	count(duplicates) == 0 # a repeated invoice repeats its freight too
	unplanned > charge_allowed
}

exceptions contains mark("tax_mismatch", "", "hold", sprintf("tax %s, expected %s %s", [amount.text(input.tax_micros), amount.text(input.tax_expected_micros), input.currency])) if {
	abs(input.tax_micros - input.tax_expected_micros) > tolerance.tax_micros
}

exceptions contains mark("total_mismatch", "", "hold", sprintf("the total says %s, its parts make %s %s", [amount.text(input.total_micros), amount.text(input.sum_micros), input.currency])) if {
	abs(input.total_micros - input.sum_micros) > tolerance.rounding_micros
}

mark(kind, line, disposition, because) := {
	"kind": kind,
	"line": line,
	"disposition": disposition,
	"because": because,
	"clause": concat(".", ["p2p.matching", kind]),
}

# The same number again is a duplicate; the same goods are one only if both cannot be right.
duplicates contains number if some number in input.same_number

duplicates contains number if {
	some number in input.same_goods
	some line in input.lines
	line.paired != ""
	beyond(line)
}

beyond(line) if over_ordered(line)

beyond(line) if over_received(line)

comparable contains line if {
	some line in input.lines
	line.paired != ""
	line.unit_known
	not unit_wrong(line)
}

unit_wrong(line) if {
	line.unit_differs
	not consistent(line)
}

consistent(line) if {
	line.unit_known
	price_within(line)
	not over_ordered(line)
}

price_within(line) if line.price_micros <= line.agreed_micros

price_within(line) if {
	within_percent(line)
	line.price_over_micros <= line_allowed
}

within_percent(line) if line.price_micros * 10000 <= line.agreed_micros * (10000 + tolerance.price_bp)

line_allowed := object.get(tolerance.price_line_micros, input.currency, 0)

prices(line) := array.concat(amount.pair(line.price_micros, line.agreed_micros), [input.currency])

price_reason(line) := sprintf("price %s above the agreed %s %s by more than the allowed %s %%", array.concat(prices(line), [amount.percent(tolerance.price_bp)])) if {
	not within_percent(line)
} else := sprintf("price %s above the agreed %s %s makes %s on the line, more than the allowed %s", array.concat(prices(line), amount.pair(line.price_over_micros, line_allowed)))

over_ordered(line) if {
	(line.before_milli + line.invoiced_milli) * 10000 > line.ordered_milli * (10000 + input.over_bp)
}

received_over(line) if line.received_milli * 10000 > line.ordered_milli * (10000 + input.over_bp)

over_received(line) if line.before_milli + line.invoiced_milli > line.received_milli

charge_allowed := object.get(tolerance.charge_micros, input.currency, 0)

unplanned := input.charges_micros - input.charges_agreed_micros

default payable(_) := 0

payable(line) := max([0, min([line.invoiced_milli, by_order(line), line.received_milli - line.before_milli])]) if {
	line.paired != ""
	line.unit_known
}

by_order(line) := line.ordered_milli - line.before_milli if {
	over_ordered(line)
} else := line.invoiced_milli
