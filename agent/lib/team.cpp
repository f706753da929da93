// SPDX-License-Identifier: GPL-2.0-only
#include "lib/team.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace itme {

namespace {

constexpr size_t most_displaced = 64; // granules

// For each stream the first of those that it shares granules with.
std::vector<uint32_t> roots_of(std::span<const WeightedPass> streams, const Grid &grid)
{
	std::vector<uint32_t> owner(grid.granules(), UINT32_MAX), parent(streams.size());

	std::iota(parent.begin(), parent.end(), 0);
	auto root = [&](uint32_t i) {
		while (parent[i] != i)
			i = parent[i] = parent[parent[i]];
		return i;
	};

	for (uint32_t i = 0; i < streams.size(); i++) {
		for (const Visit &visit : streams[i].pass->visits) {
			uint32_t &first = owner[visit.granule];

			if (first == UINT32_MAX)
				first = i;
			else
				parent[root(i)] = root(first);
		}
	}
	for (uint32_t i = 0; i < streams.size(); i++)
		parent[i] = root(i);
	return parent;
}

} // namespace

std::vector<Team> teams_of(std::span<const WeightedPass> streams, const Grid &grid)
{
	const auto roots = roots_of(streams, grid);
	std::vector<Team> teams;

	for (uint32_t root = 0; root < streams.size(); root++) {
		Team team;
		std::vector<WeightedPass> members;

		for (size_t i = 0; i < streams.size(); i++) {
			if (roots[i] != root)
				continue;
			team.members.push_back(i);
			team.weight += streams[i].weight;
			members.push_back(streams[i]);
		}
		if (members.empty())
			continue;
		team.ranking = rank(members, grid);
		teams.push_back(std::move(team));
	}
	return teams;
}

void share_frames(std::vector<Team> &teams, size_t dram_frames, size_t cxl_frames)
{
	std::vector<double> weights, caps;
	double dram = 0, cxl = 0;
	size_t dram_given = 0, cxl_given = 0;

	if (teams.size() == 1) {
		teams[0].dram = std::min(dram_frames, teams[0].ranking.size());
		// What copies up displace from DRAM to their slots can move to CXL.
		teams[0].cxl =
			std::min(cxl_frames, teams[0].ranking.size() - teams[0].dram +
						     std::min(teams[0].dram, most_displaced));
		return;
	}
	for (const Team &team : teams) {
		weights.push_back(team.weight);
		// One frame beyond what is touched is never of use.
		caps.push_back(static_cast<double>(team.ranking.size()));
	}
	const auto all = static_cast<double>(dram_frames + cxl_frames);
	const auto shares = share_out(all, weights, caps);

	// A running sum is rounded, not each share: no frame is lost or given twice.
	for (size_t i = 0; i < teams.size(); i++) {
		dram += shares[i] * static_cast<double>(dram_frames) / all;
		cxl += shares[i] * static_cast<double>(cxl_frames) / all;
		teams[i].dram =
			std::min(dram_frames, static_cast<size_t>(dram + 1e-6)) - dram_given;
		teams[i].cxl = std::min(cxl_frames, static_cast<size_t>(cxl + 1e-6)) - cxl_given;
		dram_given += teams[i].dram;
		cxl_given += teams[i].cxl;
	}
}

std::vector<double> share_out(double whole, const std::vector<double> &weights,
			      const std::vector<double> &caps)
{
	std::vector<double> shares(weights.size());
	std::vector<bool> full(weights.size());

	for (bool again = true; again;) {
		double weight = 0, left = whole;

		again = false;
		for (size_t i = 0; i < weights.size(); i++)
			full[i] ? left -= shares[i] : weight += weights[i];
		for (size_t i = 0; i < weights.size(); i++) {
			if (full[i])
				continue;
			shares[i] = left * weights[i] / weight;
			if (shares[i] > caps[i]) {
				shares[i] = caps[i];
				full[i] = again = true;
			}
		}
	}
	return shares;
}

} // namespace itme
