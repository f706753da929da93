// SPDX-License-Identifier: GPL-2.0-only
#include "replay/program.hpp"

#include "replay/random.hpp"

#include <algorithm>
#include <numeric>

namespace itme::replay {

namespace {

Result<std::vector<Item>> cut(uint64_t bytes, uint64_t item_bytes)
{
	std::vector<Item> items;

	if (bytes == 0 || item_bytes == 0)
		return fail("there is nothing to read", Exit::usage);
	if ((bytes - 1) / item_bytes >= UINT32_MAX)
		return fail("the items are too many: larger ones are needed", Exit::usage);
	for (uint64_t offset = 0; offset < bytes; offset += item_bytes)
		items.push_back({offset, std::min(item_bytes, bytes - offset)});
	return items;
}

std::vector<uint32_t> numbers(size_t first, size_t end, size_t step = 1)
{
	std::vector<uint32_t> order;

	for (size_t i = first; i < end; i += step)
		order.push_back(static_cast<uint32_t>(i));
	return order;
}

// So many of the layers, in random order; of the last one there may be less.
std::vector<uint32_t> layers_of(size_t items, size_t one_in, uint64_t seed)
{
	constexpr size_t layer = 4;
	auto layers = numbers(0, (items + layer - 1) / layer);
	std::vector<uint32_t> order;
	Random random{seed};

	for (size_t i = layers.size(); i > 1; i--)
		std::swap(layers[i - 1], layers[random.below(i)]);
	layers.resize((layers.size() + one_in - 1) / one_in);
	for (const uint32_t number : layers)
		for (size_t i = number * layer; i < std::min(items, (number + 1) * layer); i++)
			order.push_back(static_cast<uint32_t>(i));
	return order;
}

std::vector<uint32_t> order_of(Way way, size_t items, uint64_t seed)
{
	const auto both = [](std::vector<uint32_t> first, const std::vector<uint32_t> &second) {
		first.insert(first.end(), second.begin(), second.end());
		return first;
	};
	auto order = numbers(0, items);

	switch (way) {
	case Way::backward:
		std::ranges::reverse(order);
		return order;
	case Way::strided:
		return both(numbers(0, items, 2), numbers(1, items, 2));
	case Way::shuffled:
		return layers_of(items, 1, seed);
	case Way::part:
		return layers_of(items, 3, seed);
	case Way::twice:
		break;
	}
	return both(order, numbers(items / 3, 2 * items / 3));
}

} // namespace

std::vector<uint32_t> sequence(const Program &program, size_t passes)
{
	std::vector<uint32_t> all;

	for (size_t i = 0; i < passes; i++)
		all.insert(all.end(), program.pass(i).begin(), program.pass(i).end());
	return all;
}

uint64_t footprint(const Program &program, const std::vector<uint32_t> &pass)
{
	std::vector<bool> seen(program.items.size());
	uint64_t bytes = 0;

	for (const uint32_t item : pass) {
		if (!seen[item])
			bytes += program.items[item].length;
		seen[item] = true;
	}
	return bytes;
}

Result<Program> dense(uint64_t bytes, uint64_t item_bytes)
{
	auto items = cut(bytes, item_bytes);
	if (!items)
		return std::unexpected(items.error());

	std::vector<uint32_t> order(items->size());
	std::iota(order.begin(), order.end(), 0);
	return Program{std::move(*items), {std::move(order)}, {}};
}

Result<Program> arranged(Way way, uint64_t bytes, uint64_t item_bytes, uint64_t seed)
{
	auto items = cut(bytes, item_bytes);
	if (!items)
		return std::unexpected(items.error());

	auto order = order_of(way, items->size(), seed);
	return Program{std::move(*items), {std::move(order)}, {}};
}

Result<Program> random(uint64_t bytes, uint64_t item_bytes, size_t passes, uint64_t seed)
{
	auto items = cut(bytes, item_bytes);
	if (!items)
		return std::unexpected(items.error());

	Random source{seed};
	Program program{std::move(*items), {}, {}};
	for (size_t i = 0; i < passes; i++) {
		auto &order = program.passes.emplace_back(program.items.size());
		for (auto &item : order)
			item = static_cast<uint32_t>(source.below(program.items.size()));
	}
	return program;
}

std::vector<uint32_t> spread_evenly(size_t items, size_t chosen)
{
	std::vector<uint32_t> which;

	// The middle of each of so many equal parts.
	for (size_t i = 0; i < chosen && chosen <= items; i++)
		which.push_back(static_cast<uint32_t>((2 * i + 1) * items / (2 * chosen)));
	return which;
}

} // namespace itme::replay
