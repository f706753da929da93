// SPDX-License-Identifier: GPL-2.0-only
#include "lib/bound.hpp"

#include <algorithm>
#include <vector>

namespace itme {

namespace {

// Bytes of the pass by how surely each is read, the surest first.
class Worth {
public:
	Worth(const Pass &pass, const Grid &grid)
	{
		std::vector<float> size(grid.granules()), expected(grid.granules());

		for (const Visit &visit : pass.visits) {
			const auto whole = static_cast<float>(grid.bytes_of(visit.granule));
			float &s = size[visit.granule], &e = expected[visit.granule];

			s = std::min(whole, s + visit.bytes);
			e = std::min(s, e + visit.probability * visit.bytes);
		}
		for (size_t i = 0; i < size.size(); i++) {
			if (size[i] > 0)
				parts.push_back({size[i], expected[i] / size[i]});
		}
		std::sort(parts.begin(), parts.end(),
			  [](const Part &a, const Part &b) { return a.share > b.share; });
		sizes.push_back(0);
		sums.push_back(0);
		for (const Part &part : parts) {
			sizes.push_back(sizes.back() + static_cast<double>(part.size));
			sums.push_back(sums.back() + static_cast<double>(part.size) *
							     static_cast<double>(part.share));
		}
	}
	[[nodiscard]] double all() const { return sums.back(); }
	// Expected reads of the best `capacity` bytes.
	[[nodiscard]] double best(double capacity) const
	{
		const auto past = std::upper_bound(sizes.begin(), sizes.end(), capacity);
		const auto i = static_cast<size_t>(past - sizes.begin());

		if (past == sizes.end())
			return sums.back();
		return sums[i - 1] +
		       (capacity - sizes[i - 1]) * static_cast<double>(parts[i - 1].share);
	}

private:
	struct Part {
		float size, share;
	};
	std::vector<Part> parts;
	std::vector<double> sizes, sums; // of the first 0, 1, 2, ... parts
};

} // namespace

double Bound::seconds() const
{
	return std::max({compute_s, store_s, cxl_s, dram_s});
}

const char *Bound::by() const
{
	const double most = seconds();

	return most == compute_s ? "compute"
	       : most == store_s ? "store"
	       : most == cxl_s   ? "cxl"
				 : "dram";
}

void Bound::balance(const Lane &lane)
{
	if (cxl_s <= std::max(store_s, compute_s))
		return;
	const double cxl_s_a_byte = 1 / lane.cxl_bytes_per_s,
		     store_s_a_byte = 1 / lane.store_bytes_per_s;
	const double bytes = std::min((cxl_s - store_s) / (cxl_s_a_byte + store_s_a_byte),
				      (cxl_s - compute_s) / cxl_s_a_byte);

	cxl_s -= bytes * cxl_s_a_byte;
	store_s += bytes * store_s_a_byte;
	store_bytes += bytes;
	if (!lane.slots_in_cxl)
		dram_s += bytes / lane.dram_bytes_per_s;
}

Bound bound_of(const Pass &pass, const Grid &grid, const Lane &lane, const Capacity &capacity)
{
	const Worth worth(pass, grid);
	const double in_dram = worth.best(capacity.dram_bytes),
		     kept = worth.best(capacity.dram_bytes + capacity.cxl_bytes);
	Bound bound;

	bound.compute_s = pass.compute_s;
	bound.store_bytes = worth.all() - kept;
	bound.store_s = bound.store_bytes / lane.store_bytes_per_s;
	bound.dram_s =
		lane.slots_in_cxl ? 0 : (worth.all() - (kept - in_dram)) / lane.dram_bytes_per_s;
	if (kept > in_dram) {
		bound.cxl_s = (kept - in_dram) / lane.cxl_bytes_per_s;
		bound.balance(lane);
	}
	return bound;
}

} // namespace itme
