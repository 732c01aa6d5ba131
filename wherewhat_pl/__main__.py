from wherewhat_pl.cli import main

main()
