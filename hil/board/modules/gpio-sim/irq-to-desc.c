// SPDX-License-Identifier: GPL-2.0
/*
 * Stand-in for irq_to_desc(), which irq_sim.c calls and the kernel does not
 * export to modules.
 */
#include <linux/irq.h>
#include <linux/irqdesc.h>

struct irq_desc *irq_to_desc(unsigned int irq)
{
	struct irq_data *data = irq_get_irq_data(irq);

	return data ? irq_data_to_desc(data) : NULL;
}
