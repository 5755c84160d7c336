import { flag, text } from "./scalars.ts";
import { group, list } from "./schema.ts";

/** Each has more elements in OvenMediaEngine, of transcoding. */
const restOf = "OutputProfiles";

const subtitles = group(
  "Subtitle tracks of the streams that begin at this node (RTSP, file): `POST …/streams/{stream}:sendSubtitles` of the REST API fills them, LL-HLS shows them, nodes that pull from here have them, too.",
  {
    Enable: flag("Off unless given.", false),
    DefaultLabel: text("The rendition that players show where a viewer did not choose.", { fallback: "" }),
    Rendition: list(
      group("One track.", {
        Language: text("As ISO 639 or BCP 47 names it: `ko`, `en-GB`.", { fallback: "" }),
        Label: text("As viewers read it, and as the API names the track.", { isRequired: true }),
        AutoSelect: flag("Players may choose it by the viewer's language.", false),
        Forced: flag("Shown also to who wants no subtitles.", false),
      }),
    ),
  },
  { restOf },
);

const playlist = group(
  "A playlist of the origin's; Hearth offers those that come with a stream.",
  {
    FileName: text("Without extension: `llhls`.", { fallback: "" }),
    Options: group("", { EnableSubtitles: flag("Whether this playlist lists the subtitles.", true) }, { restOf }),
  },
  { restOf },
);

/** `OutputProfiles`, of which subtitles are followed. */
export const outputProfilesSchema = group(
  "What OvenMediaEngine makes of a stream. Hearth does not transcode by it, and follows what it says of subtitles.",
  {
    MediaOptions: group("", { Subtitles: subtitles }, { restOf }),
    OutputProfile: list(group("", { Playlist: list(playlist) }, { restOf })),
  },
  { restOf },
);
