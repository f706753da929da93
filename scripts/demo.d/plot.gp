# SPDX-License-Identifier: GPL-2.0-only
# The demo's picture, from result.dat and result.gp in the current folder.

load "result.gp"
set terminal pngcairo size 1280,620 font "sans,13" linewidth 1.6
set output "result.png"
set multiplot layout 1,2 title title font "sans,14"

set bmargin 9
set tmargin 2
set lmargin 9
set rmargin 3
set xlabel "token" offset 0,0.4
set xrange [0.5:tokens + 0.5]
set xtics 1, tokens > 32 ? 8 : 2
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set key center bottom maxrows 5 maxcols 1 Left reverse samplen 3 spacing 1.1
set style line 1 lc rgb "#b2182b" pt 7 ps 1
set style line 2 lc rgb "#2166ac" pt 5 ps 1
set style line 3 lc rgb "#444444" dt 2
set style line 5 lc rgb "#1b7837" pt 9 ps 1
set style line 4 lc rgb "#999999" dt 3

set key at screen 0.27, screen 0.01
set ylabel "MiB read from the NVMe drive, a token"
set yrange [0:model * 1.1]
plot "result.dat" using 1:2 with linespoints ls 1 title sprintf("mapped from ext4: %.0f MiB", ext4_mib), \
	"" using 1:4 with linespoints ls 2 title sprintf("ITME, demand only: %.0f MiB", itme_mib), \
	"" using 1:6 with linespoints ls 5 title sprintf("ITME, auto: %.0f MiB", auto_mib), \
	model with lines ls 4 title sprintf("the whole model: %.0f MiB", model), \
	least with lines ls 3 title sprintf("no policy can read less: %.0f MiB", least)

set key at screen 0.77, screen 0.01
set ylabel "seconds a token"
set yrange [0:*]
set offsets graph 0, graph 0, graph 0.08, graph 0
plot "result.dat" using 1:3 with linespoints ls 1 title sprintf("mapped from ext4: %.2f s", ext4_seconds), \
	"" using 1:5 with linespoints ls 2 title sprintf("ITME, demand only: %.2f s", itme_seconds), \
	"" using 1:7 with linespoints ls 5 title sprintf("ITME, auto: %.2f s", auto_seconds), \
	bound with lines ls 3 title sprintf("the bound: %.2f s", bound)
unset multiplot
