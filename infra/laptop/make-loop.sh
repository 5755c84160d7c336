# How loop.mp4 was made: 16 s at 25 fps, 400 frames, closed groups of 1 s, no B-frames; 750 AAC and 800 Opus frames fill the
# same 16 s exactly, so the loop has no seam. The row of blocks under the picture holds the frame number in binary, least
# significant bit left, between two white marks; tests and the page read it. Run in an empty folder with ffmpeg 5.1.
set -e
FPS=25; SECONDS_=16; N=$((FPS*SECONDS_))
FONT=$(fc-match -f '%{file}' "DejaVu Sans Mono:bold")
BITS=""
for b in 0 1 2 3 4 5 6 7 8; do
  x=$((440 + b*44))
  BITS="$BITS,drawbox=x=$x:y=640:w=40:h=40:color=white:t=fill:enable='eq(mod(floor(mod(n\,$N)/pow(2\,$b))\,2)\,1)'"
done
VF="format=yuv420p,eq=saturation=1.2:brightness=-0.05
,drawbox=x=380:y=628:w=520:h=64:color=black:t=fill
,drawbox=x=396:y=640:w=40:h=40:color=white:t=fill
,drawbox=x=836:y=640:w=40:h=40:color=white:t=fill$BITS
,drawtext=fontfile=$FONT:text='HEARTH':x=60:y=50:fontsize=54:fontcolor=white@0.9
,drawtext=fontfile=$FONT:text='%{eif\:mod(n\,$N)\:d\:3}':x=(w-tw)/2:y=240:fontsize=220:fontcolor=white:shadowcolor=black@0.5:shadowx=4:shadowy=4
,drawtext=fontfile=$FONT:text='%{eif\:floor(mod(n\,$N)/25)\:d\:2}.%{eif\:mod(n\,25)*4\:d\:2} s of 16':x=(w-tw)/2:y=480:fontsize=40:fontcolor=white@0.85
,drawtext=fontfile=$FONT:text='o':x='60+mod(n\,$N)*1140/$N':y=560:fontsize=36:fontcolor=white"
ffmpeg -nostdin -hide_banner -y -v error -f lavfi -i "gradients=s=1280x720:r=$FPS:c0=0x2b0f06:c1=0xb5451b:c2=0xf08a24:c3=0x5a1020:n=4:speed=0.008:seed=7:x0=100:y0=80:x1=1180:y1=640:d=$SECONDS_" \
 -vf "$(echo "$VF" | tr -d '\n')" -frames:v $N -c:v libx264 -profile:v baseline -level 3.1 -preset veryslow -b:v 760k -maxrate 1100k -bufsize 1100k -bf 0 -g $FPS -keyint_min $FPS -sc_threshold 0 -pix_fmt yuv420p -x264-params "repeat-headers=0:aud=0" -an v.mp4
AE="0.12*sin(2*PI*220*t)*(0.6+0.4*sin(2*PI*0.125*t))+0.10*sin(2*PI*330*t)*(0.5+0.5*sin(2*PI*0.25*t))+if(lt(mod(t\,1)\,0.05)\,0.25*sin(2*PI*880*t)\,0)"
ffmpeg -nostdin -hide_banner -y -v error -f lavfi -i "aevalsrc='$AE|$AE':s=48000:d=48" -c:a aac -b:a 80k a.nut
ffmpeg -nostdin -hide_banner -y -v error -f lavfi -i "aevalsrc='$AE|$AE':s=48000:d=48" -c:a libopus -b:a 64k -frame_duration 20 o.nut
# the middle third of each sound track: both ends of the loop meet without a gap
ffmpeg -nostdin -hide_banner -y -v error -ss 16 -i a.nut -t 16 -c copy a16.nut
ffmpeg -nostdin -hide_banner -y -v error -ss 16 -i o.nut -t 16 -c copy o16.nut
ffmpeg -nostdin -hide_banner -y -v error -i v.mp4 -i a16.nut -i o16.nut -map 0:v -map 1:a -map 2:a -c copy -bsf:a:0 "setts=ts=N*1024/48000/TB:duration=1024/48000/TB" -bsf:a:1 "setts=ts=N*960/48000/TB:duration=960/48000/TB" -frames:a:0 750 -frames:a:1 800 -video_track_timescale 90000 -metadata title="Hearth loop" -movflags +faststart -strict -2 clip.mp4
